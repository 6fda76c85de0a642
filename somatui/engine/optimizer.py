"""The optimizer of all training here: PyTorch's AdamW, without the compiler that nothing here is compiled with."""

from __future__ import annotations

import inspect

import torch
from torch.optim import Optimizer


class AdamW(torch.optim.AdamW):
    """AdamW as PyTorch computes it, for tensors whose gradients have been made.

    PyTorch wraps these methods so that its compiler leaves them alone, and the wrappers load the compiler to tell it
    so: two seconds at the start of everything that trains, as much as torch itself. Here they are as they were written.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))
