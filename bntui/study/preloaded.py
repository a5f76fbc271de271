"""Imported first by the processes that train for a study, so that they start faster."""

from __future__ import annotations

from bntui.cpu import wait_briefly
from bntui.trainer.lazy_torch import import_torch

wait_briefly()
import_torch()
