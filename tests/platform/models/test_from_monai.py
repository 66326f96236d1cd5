"""MONAI is imported without what it would take along, and nobody else misses it."""

import subprocess
import sys

PROGRAM = """
import sys
import numpy  # in sight, as what is imported already
from wardround.models import from_monai
print(sorted(name for name in from_monai.OUT_OF_SIGHT if name in sys.modules))
import scipy.ndimage, sklearn, ignite, matplotlib
print(from_monai.nets.FullyConnectedNet(2, 1, (2,))(from_monai.torch.zeros(1, 2)).shape[1])
"""


def test_what_monai_need_not_take_along_stays_out_and_can_be_imported_afterwards():
    """No optional package is loaded with MONAI, none stays hidden, and MONAI's parts work beside them."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n1\n"), done.stderr
