"""The bundled networks against the same networks in PyTorch: keys, outputs, all gradients."""

import pytest

from pycnn import models, nn

torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
from torch_twin import compare  # noqa: E402

T = torch.nn


class TorchLeNet(T.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = T.Conv2d(1, 6, 3, padding=1), T.Conv2d(6, 16, 3, padding=1)
        self.fc1, self.fc2, self.fc3 = T.Linear(64, 120), T.Linear(120, 84), T.Linear(84, 10)

    def forward(self, x):
        for conv in (self.conv1, self.conv2):
            x = torch.max_pool2d(torch.relu(conv(x)), 2)
        x = x.flatten(1)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))


class TorchVGG(T.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for i, o in ((1, 32), (32, 32), (32, 64), (64, 64)):
            layers += [T.Conv2d(i, o, 3, padding=1, bias=False), T.BatchNorm2d(o), T.ReLU()]
            layers += [T.MaxPool2d(2), T.Dropout(0.0)] if o == i else []
        self.features = T.Sequential(*layers, T.Flatten())
        self.classifier = T.Sequential(T.Linear(256, 128), T.ReLU(), T.Dropout(0.0), T.Linear(128, 10))

    def forward(self, x):
        return self.classifier(self.features(x))


class TorchBlock(T.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1, self.bn1 = T.Conv2d(i, o, 3, stride, 1, bias=False), T.BatchNorm2d(o)
        self.conv2, self.bn2 = T.Conv2d(o, o, 3, 1, 1, bias=False), T.BatchNorm2d(o)
        self.downsample = None
        if i != o:
            self.downsample = T.Sequential(T.Conv2d(i, o, 1, stride, bias=False), T.BatchNorm2d(o))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class TorchResNet(T.Module):
    def __init__(self, blocks):
        super().__init__()
        self.conv1, self.bn1 = T.Conv2d(1, 16, 3, padding=1, bias=False), T.BatchNorm2d(16)
        channels = 16
        for stage, filters in enumerate((16, 32, 64), start=1):
            layers = []
            for block in range(blocks):
                layers.append(TorchBlock(channels, filters, 2 if stage > 1 and block == 0 else 1))
                channels = filters
            setattr(self, f"layer{stage}", T.Sequential(*layers))
        self.fc = T.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x))))))
        return self.fc(x.mean((2, 3)))


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("lenet", TorchLeNet),
        ("vgg-small", TorchVGG),
        ("resnet8", lambda: TorchResNet(1)),
        ("resnet20", lambda: TorchResNet(3)),
    ],
)
def test_models_take_torchs_state_and_compute_the_same(name, twin):
    net = models.build(name, in_channels=1, input_size=8, rng=0)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    compare(net, twin(), (3, 1, 8, 8), rtol=1e-8)
