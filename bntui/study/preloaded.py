"""Imported first by the processes that train for a study, so that they start faster."""

from __future__ import annotations

from bntui.trainer.lazy_torch import import_torch

import_torch()
