"""A 3 x 3 convolution with TensorFlow's SAME padding, which DeepMind's models were trained with.

At stride 2 and even sizes only the right and the bottom are padded; PyTorch's padding = 1 reads other pixels there.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from engine.types import Images

KERNEL = 3


class SameConv2d(nn.Conv2d):
    """As nn.Conv2d without bias, with the same state-dict keys; the output is ceil(size / stride) wide and high."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, KERNEL, stride, padding=1 if stride == 1 else 0, bias=False)

    def forward(self, x: Images) -> Tensor:
        """B C H W to B C' ceil(H / stride) ceil(W / stride)."""
        stride = self.stride[0]
        if stride > 1:
            top, bottom = same_padding(x.shape[2], stride)
            left, right = same_padding(x.shape[3], stride)
            x = F.pad(x, (left, right, top, bottom))
        out: Tensor = super().forward(x)
        return out


def same_padding(size: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a side of `size` pixels: the odd one goes after."""
    total = max((-(-size // stride) - 1) * stride + KERNEL - size, 0)
    return total // 2, total - total // 2
