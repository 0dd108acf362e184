"""The feed: bit for bit what torchvision makes of the same draws, and the same distribution of draws."""

import pytest
import torch
from PIL import Image
from torchvision.transforms import RandomCrop
from torchvision.transforms import functional as transform

from engine.data.augment import Draws, Feed, to_pixels
from engine.spec.data import CIFAR10
from engine.types import Split

CPU = torch.device("cpu")
PLACES = 9 * 9  # offsets of a crop with padding 4
CHI_SQUARE_80 = 124.8  # 0.999 quantile with 80 degrees of freedom


def feed_of(count, *, size=8, channels=3, batch_size=4, layout=torch.contiguous_format, **changes):
    draws = torch.Generator().manual_seed(11)
    images = torch.randint(0, 256, (count, channels, size, size), generator=draws, dtype=torch.uint8)
    return images, Feed(Split(images, torch.arange(count)), CIFAR10(**changes), CPU, layout, batch_size)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_batch_equals_torchvision_bit_for_bit_for_the_same_draws(layout):
    images, feed = feed_of(7, batch_size=7, layout=layout)
    draws = Draws(
        order=torch.tensor([3, 0, 6, 1, 5, 2, 4]),
        dy=torch.tensor([0, 8, 4, 0, 8, 3, 5]),  # corners, the centre, and two others
        dx=torch.tensor([0, 8, 4, 8, 0, 7, 1]),
        flip=torch.tensor([False, True, False, True, False, True, True]),
    )
    x, y = feed.batch(draws, 0)
    assert x.is_contiguous(memory_format=layout)
    assert torch.equal(y, draws.order)
    for b, i in enumerate(draws.order.tolist()):
        padded = transform.pad(Image.fromarray(images[i].permute(1, 2, 0).numpy()), [4])
        expected = transform.crop(padded, int(draws.dy[b]), int(draws.dx[b]), 8, 8)
        expected = transform.hflip(expected) if draws.flip[b] else expected
        assert torch.equal(x[b], transform.to_tensor(expected))


def test_the_crop_in_the_centre_without_flip_is_the_image_itself():
    images, feed = feed_of(3, batch_size=3)
    still = torch.full((3,), 4)
    x, _y = feed.batch(Draws(torch.arange(3), still, still, torch.zeros(3, dtype=torch.bool)), 0)
    assert torch.equal(x, images / 255)


def test_a_crop_in_the_corner_brings_in_zeros():
    images, feed = feed_of(1, batch_size=1)
    zero = torch.zeros(1, dtype=torch.int64)
    x, _y = feed.batch(Draws(zero, zero, zero, torch.zeros(1, dtype=torch.bool)), 0)
    assert torch.equal(x[:, :, 4:, 4:], images[:, :, :4, :4] / 255)
    assert not x[:, :, :4].any()
    assert not x[:, :, :, :4].any()


def test_every_byte_becomes_the_number_that_totensor_makes_of_it():
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_pixels(every)[0], transform.to_tensor(Image.fromarray(every[0, 0].numpy())))


def chi_square(counts, expected) -> float:
    return float(((counts - expected) ** 2 / expected).sum())


def test_offsets_are_uniform_over_all_places_and_flips_are_fair():
    count = 81_000
    _images, feed = feed_of(count, size=1, channels=1)
    draws = feed.draw(seed=0, epoch=1)
    seen = torch.bincount(9 * draws.dy + draws.dx, minlength=PLACES).double()
    assert len(seen) == PLACES
    assert 40 < chi_square(seen, count / PLACES) < CHI_SQUARE_80  # 80 +- 13; below 40 it would be no chance
    assert abs(int(draws.flip.sum()) - count / 2) < 4 * (count / 4) ** 0.5  # four deviations of a fair coin
    flipped = torch.bincount((9 * draws.dy + draws.dx)[draws.flip], minlength=PLACES).double()
    assert chi_square(flipped, int(draws.flip.sum()) / PLACES) < CHI_SQUARE_80  # the coin knows nothing of the place


def test_the_reference_draws_its_offsets_from_the_same_places_with_the_same_frequencies():
    count = 8_100
    padded = torch.empty(1, 40, 40)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        places = [RandomCrop.get_params(padded, (32, 32))[:2] for _ in range(count)]
    theirs = torch.bincount(torch.tensor([9 * top + left for top, left in places]), minlength=PLACES).double()
    _images, feed = feed_of(count, size=1, channels=1)
    draws = feed.draw(seed=0, epoch=1)
    ours = torch.bincount(9 * draws.dy + draws.dx, minlength=PLACES).double()
    assert len(ours) == len(theirs) == PLACES
    assert chi_square(ours, (ours + theirs) / 2) + chi_square(theirs, (ours + theirs) / 2) < CHI_SQUARE_80


def test_an_epoch_shows_every_image_once_with_its_own_label():
    images, feed = feed_of(10, crop_padding=0, flip=False)
    batches = list(feed.batches(feed.draw(seed=3, epoch=2), 0, 3))
    assert [len(x) for x, _y in batches] == [4, 4, 2]
    assert torch.cat([y for _x, y in batches]).sort().values.tolist() == list(range(10))
    for x, y in batches:
        assert torch.equal(x, images[y] / 255)  # without padding and flips, the images themselves


def test_the_same_seed_and_epoch_give_the_same_draws_and_others_give_others():
    _images, feed = feed_of(200)
    first = feed.draw(seed=0, epoch=1)
    assert all(torch.equal(a, b) for a, b in zip(first, feed.draw(seed=0, epoch=1), strict=True))
    for other in (feed.draw(seed=0, epoch=2), feed.draw(seed=1, epoch=1)):
        assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_draws_do_not_touch_the_global_generator():
    _images, feed = feed_of(5)
    before = torch.random.get_rng_state()
    list(feed.batches(feed.draw(seed=0, epoch=1), 0, 2))
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_resumed_epoch_goes_on_with_the_batches_that_are_left():
    _images, feed = feed_of(12)
    draws = feed.draw(seed=0, epoch=1)
    whole, rest = list(feed.batches(draws, 0, 3)), list(feed.batches(draws, 1, 3))
    for (x, y), (other_x, other_y) in zip(whole[1:], rest, strict=True):
        assert torch.equal(x, other_x)
        assert torch.equal(y, other_y)


def test_without_flips_in_the_config_nothing_is_flipped():
    _images, feed = feed_of(500, flip=False)
    assert not feed.draw(seed=0, epoch=1).flip.any()


def test_on_the_cpu_the_images_are_resident_and_counted():
    _images, feed = feed_of(6)
    assert feed.resident
    assert len(feed) == 6
