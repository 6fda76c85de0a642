"""Whether the node is one of this profile's network; nothing is signed for a profile whose node is of another."""

from __future__ import annotations

import logging
from dataclasses import replace

from somatui.agent.ground import Ground
from somatui.chain.errors import Timeout, Unreachable
from somatui.chain.identity import Identity, OtherChain
from somatui.config import ConfigError, Profile, save_profile

log = logging.getLogger(__name__)

NAMES = {"testnet": ("testnet",), "localnet": ("localnet", "practice")}
"""What networks of a kind call themselves; a local one is often made anew, so that its name is all that stays."""


async def belongs(ground: Ground, *, reading: bool = False) -> None:
    """Ask the node who it is, and write that into a profile that does not say yet; practice is whatever runs here.

    `reading` is content with a second node, which the chain has compared, while the first does not answer.

    Raises:
        OtherChain: it is of another network; nothing may be signed or believed.
        ChainError: it did not say.
    """
    profile = ground.profile
    if profile.network == "practice":
        return
    try:
        told = await ground.chain.identity()
    except (Unreachable, Timeout):
        if reading and profile.rpc_url_2:
            return
        raise
    if not fits(profile, told):
        raise OtherChain(
            f"The node {profile.rpc_url} belongs to network {told.name or 'without a name'} ({told.chain_id}), and "
            f"profile {profile.name} is for {profile.chain or profile.network}: nothing is signed; correct rpc_url, or "
            "make a profile for that network with somatui network add."
        )
    if not profile.chain and profile.network != "localnet":
        ground.profile = replace(profile, chain=told.chain_id)
        try:
            save_profile(ground.paths, chain=told.chain_id)
        except ConfigError as failure:
            log.warning("the network's identifier is not written down: %s", failure)


def fits(profile: Profile, told: Identity) -> bool:
    """Whether a node that says this is one of the profile's network."""
    if profile.chain:
        return profile.chain in (told.chain_id, told.name)
    return told.name in NAMES.get(profile.network, (told.name,))
