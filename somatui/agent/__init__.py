"""The daemon of a profile: the only signer. It watches, keeps duties, runs jobs and answers on a unix socket."""
