"""What a tutorial writes: ImageFolder, DataLoader, nn.Sequential, Adam, a loop. The other side."""

import torch
import torchvision
from torch import nn
from torchvision import transforms

from fer_utils.machine import pick_device
from fer_utils.models import ARCHITECTURES, pools
from tests.benchmarks.measure import seconds

BATCH = 128


def loader(folder: str, images: int) -> torch.utils.data.DataLoader:
    """Batches of so many images of class folders (over and over), by two processes."""
    steps = [transforms.Grayscale(), transforms.ToTensor(), transforms.RandomHorizontalFlip()]
    steps = transforms.Compose([*steps, transforms.RandomCrop(48, padding=3)])
    found = torchvision.datasets.ImageFolder(folder, transform=steps)
    found.samples = (found.samples * (images // len(found.samples) + 1))[:images]
    return torch.utils.data.DataLoader(found, BATCH, shuffle=True, num_workers=2)


def network(name: str) -> nn.Sequential:
    """One of our architectures, layer by layer as a book shows it, with the recipe's dropout."""
    layers, channels, side, architecture = [], 1, 48, ARCHITECTURES[name]
    for number, (filters, kernel) in enumerate(architecture.convolutions, 1):
        layers += [nn.Conv2d(channels, filters, kernel, padding=kernel // 2)]
        layers += [nn.BatchNorm2d(filters), nn.ReLU(), nn.Dropout(0.1)]
        if pools(number, len(architecture.convolutions)):
            layers.append(nn.MaxPool2d(2))
            side //= 2
        channels = filters
    layers.append(nn.Flatten())
    width = channels * side * side
    for units in architecture.hidden:
        layers += [nn.Linear(width, units), nn.BatchNorm1d(units), nn.ReLU(), nn.Dropout(0.5)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, 7))


def training(model: str, folder: str, images: int):
    """A training; an epoch of it gives images a second."""
    device, batches = pick_device(), loader(folder, images)
    net, loss_of = network(model).to(device), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)

    def epoch():
        net.train()
        running = 0.0
        for x, labels in batches:
            x, labels = x.to(device), labels.to(device)
            optimizer.zero_grad()
            loss = loss_of(net(x), labels)
            loss.backward()
            optimizer.step()
            running += loss.item()

    return lambda: {"images": images / seconds(epoch, device)}


def reading(folder: str, images: int):
    """Batches without a network: images a second."""
    device, batches = pick_device(), loader(folder, images)

    def epoch():
        for x, labels in batches:
            x.to(device), labels.to(device)

    return lambda: {"images": images / seconds(epoch, device)}
