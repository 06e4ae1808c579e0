"""The networks as torch modules; their tensors have the names of the published weights."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import max_pool3d, relu


class C3D(nn.Module):
    """C3D: eight 3x3x3 convolutions, five max-poolings, fc6 and fc7 (and fc8, which features do not need).

    Parameters
    ----------
    features, pool5
        See :class:`zslbench.video.backbones.c3d.C3DParams`.
    n_classes
        Number of classes of fc8; ``None`` leaves fc8 out.
    width, hidden
        Channels of conv1, and values of fc6 and fc7.
    """

    def __init__(
        self,
        features: str = "fc7",
        pool5: str = "end",
        n_classes: int | None = 487,
        width: int = 64,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        w = width
        self.conv1 = nn.Conv3d(3, w, kernel_size=3, padding=1)
        self.conv2 = nn.Conv3d(w, 2 * w, kernel_size=3, padding=1)
        self.conv3a = nn.Conv3d(2 * w, 4 * w, kernel_size=3, padding=1)
        self.conv3b = nn.Conv3d(4 * w, 4 * w, kernel_size=3, padding=1)
        self.conv4a = nn.Conv3d(4 * w, 8 * w, kernel_size=3, padding=1)
        self.conv4b = nn.Conv3d(8 * w, 8 * w, kernel_size=3, padding=1)
        self.conv5a = nn.Conv3d(8 * w, 8 * w, kernel_size=3, padding=1)
        self.conv5b = nn.Conv3d(8 * w, 8 * w, kernel_size=3, padding=1)
        self.fc6 = nn.Linear(8 * w * 4 * 4, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        if n_classes is not None:
            self.fc8 = nn.Linear(hidden, n_classes)
        self.features = features
        self.pool5 = pool5

    def convolutions(self, clips: Tensor) -> Tensor:
        """Return pool5, (n, 512, 1, 4, 4), of clips (n, 3, 16, 112, 112)."""
        x = max_pool3d(relu(self.conv1(clips)), (1, 2, 2))
        x = max_pool3d(relu(self.conv2(x)), 2)
        x = max_pool3d(relu(self.conv3b(relu(self.conv3a(x)))), 2)
        x = max_pool3d(relu(self.conv4b(relu(self.conv4a(x)))), 2)
        x = relu(self.conv5b(relu(self.conv5a(x))))
        # No value is negative after a ReLU. So torch's padding with minus infinity, and Caffe's windows that are cut at
        # the border, give the same as padding with zeros.
        return max_pool3d(x, 2, padding=(0, 1, 1)) if self.pool5 == "both" else max_pool3d(x, 2, ceil_mode=True)

    def forward(self, clips: Tensor) -> Tensor:
        """Return fc6 or fc7, (n, 4096), after its ReLU; dropout is for training only."""
        x = relu(self.fc6(self.convolutions(clips).flatten(1)))
        return x if self.features == "fc6" else relu(self.fc7(x))


def _factored(before: int, middle: int, after: int, stride: int) -> nn.Sequential:
    """Return a convolution over space followed by one over time."""
    return nn.Sequential(
        nn.Conv3d(before, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        nn.BatchNorm3d(middle),
        nn.ReLU(),
        nn.Conv3d(middle, after, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    )


class _Block(nn.Module):
    """Two factored convolutions with a residual connection."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        # This gives as many weights as 3x3x3 convolutions have. The second convolution uses the same number, which
        # differs from the paper's where the channels change; torchvision's weights need it.
        middle = (before * after * 27) // (before * 9 + after * 3)
        self.conv1 = nn.Sequential(_factored(before, middle, after, stride), nn.BatchNorm3d(after), nn.ReLU())
        self.conv2 = nn.Sequential(_factored(after, middle, after, 1), nn.BatchNorm3d(after))
        self.downsample: nn.Module | None = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(nn.Conv3d(before, after, 1, stride, bias=False), nn.BatchNorm3d(after))

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.conv2(self.conv1(x)) + (x if self.downsample is None else self.downsample(x)))


class R2Plus1D18(nn.Module):
    """R(2+1)D-18: a factored stem, four stages of two blocks, the global average (and fc, which features do not need).

    Parameters
    ----------
    n_classes
        Number of classes of fc; ``None`` leaves fc out.
    """

    def __init__(self, n_classes: int | None = 400) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, 45, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
            nn.BatchNorm3d(45),
            nn.ReLU(),
            nn.Conv3d(45, 64, (3, 1, 1), 1, (1, 0, 0), bias=False),
            nn.BatchNorm3d(64),
            nn.ReLU(),
        )
        self.layer1 = nn.Sequential(_Block(64, 64, 1), _Block(64, 64, 1))
        self.layer2 = nn.Sequential(_Block(64, 128, 2), _Block(128, 128, 1))
        self.layer3 = nn.Sequential(_Block(128, 256, 2), _Block(256, 256, 1))
        self.layer4 = nn.Sequential(_Block(256, 512, 2), _Block(512, 512, 1))
        if n_classes is not None:
            self.fc = nn.Linear(512, n_classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Return (n, 512) features of clips (n, 3, T, H, W)."""
        x: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(clips)))))
        return x.mean(dim=(2, 3, 4))
