"""Finds workers for the trials of a sweep: processes of this machine, or those of a Dask or Ray cluster."""

from __future__ import annotations

import re
from typing import Final

from bntui.errors import UsageError
from bntui.study.dask_crew import Dask
from bntui.study.joblib_crew import Joblib
from bntui.study.order import TrialCrew
from bntui.study.ray_crew import Ray
from bntui.text.language import _

_ADDRESS: Final = re.compile(r"(tcp|tls|ucx|wss?)://([^\s:/]+|\[[0-9a-fA-F:.%]+\])(:\d{1,5})?/?")


def crew(jobs: int, cluster: str | None, prune: str = "") -> TrialCrew:
    """Workers on this machine, or those of a cluster.

    Args:
        prune: what ends trials early, for which workers may need another package.

    Raises:
        UsageError: the address is none, nothing answers there, a package is missing, or workers have other versions.
    """
    if cluster is None:
        return Joblib(jobs)
    if cluster.startswith("ray://"):
        return Ray(cluster, prune)
    if _ADDRESS.fullmatch(cluster):
        return Dask(cluster, prune)
    sentence = _(
        "--cluster {address}: write the address of a Dask scheduler, tcp://HOST:PORT, or of Ray, ray://HOST:PORT"
    )
    raise UsageError(sentence.format(address=cluster))
