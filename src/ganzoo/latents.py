"""Sample latents reproducibly (row i depends only on the seed and i), and interpolate between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganzoo.config import LARGEST, POSITIVE, checked_int, convert_value
from ganzoo.errors import ConfigError, ShapeError, quote
from ganzoo.losses import full

_STEP = 0x9E3779B97F4A7C15  # the constants of splitmix64
_ROUNDS = tuple((np.uint64(shift), np.uint64(by)) for shift, by in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)))


def sample_latents(
    count: int, latent_size: int, seed: int, start: int = 0, num_classes: int = 0
) -> tuple[Tensor, Tensor | None]:
    """Rows `start` to `start + count - 1` of a seed's standard normal latents, and their labels.

    Row i depends on (seed, i) alone, not on how many are drawn or in which pieces, and asking for labels does not
    change the latents. torch's own generator can't give that: it draws another row 0 if it is asked for more rows,
    its streams may change with its version, and on the CPU it uses 32 bits of a seed, so that two of 50,000 seeds may
    well give equal rows. So the bits come from splitmix64 (Steele, Lea & Flood 2014): each row is its own stream,
    started from a hash of (seed, i).

    Args:
        count: rows, from 1.
        latent_size: numbers in a row.
        seed: an int from 0 to 2**63 - 1.
        start: index of the first row.
        num_classes: 0, or how many classes to draw labels from, uniformly.

    Returns:
        Latents, float32 (count, latent_size) on the CPU; labels, int64 (count,), or None without classes.

    Raises:
        ConfigError: an argument is not an int, or out of bounds.
    """
    count = checked_int("count", count, 1)
    latent_size = checked_int("latent_size", latent_size, 1)
    num_classes = checked_int("num_classes", num_classes, 0)
    latents = torch.special.ndtri(_uniform(_bits(seed, start, count, 0, latent_size))).float()
    return latents, sample_labels(count, latent_size, seed, start, num_classes) if num_classes else None


def sample_labels(count: int, latent_size: int, seed: int, start: int, num_classes: int) -> Tensor:
    """The labels of `sample_latents` alone, int64 (count,): no latent takes memory for them.

    Raises:
        ConfigError: as of `sample_latents`; also without classes.
    """
    count, latent_size = checked_int("count", count, 1), checked_int("latent_size", latent_size, 1)
    num_classes = checked_int("num_classes", num_classes, 1)
    bits = _bits(seed, start, count, latent_size, 1)[:, 0]
    return torch.from_numpy((bits % np.uint64(num_classes)).astype(np.int64))


def fresh_seed() -> int:
    """Another seed each time, drawn from torch's global random state, so `torch.manual_seed` fixes it."""
    return int(torch.randint(LARGEST, (), device="cpu"))


def truncate(latents: Tensor, limit: float, seed: int, start: int = 0) -> Tensor:
    """Redraw values beyond +-limit from the normal distribution within: less variety, fewer odd images.

    The truncation trick of Brock et al. 2019, section 3.1. A value keeps its sign, so a latent keeps its cluster.
    How large the new one is depends on (seed, row, column) alone; `start` is the first row's index, as in
    `sample_latents`, and the same seed may serve both.

    Args:
        latents: (N, latent_size).
        limit: above 0; 2 is mild, 0.5 strong.
    """
    if latents.dim() != 2:
        raise ShapeError(f"truncate takes latents (N, latent_size), got {tuple(latents.shape)}.")
    limit = convert_value(limit, float, "limit", POSITIVE)
    count, size = latents.shape
    bits = _bits(seed, start, count, size + 1, size)  # behind the latents and the label in each row's stream
    low, high = torch.special.ndtr(torch.tensor([-limit, limit], dtype=torch.float64, device="cpu"))
    anew = torch.special.ndtri(low + (high - low) * _uniform(bits)).clamp(-limit, limit)
    return torch.where(latents.abs() > limit, anew.to(latents).copysign(latents), latents)


def lerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """(1 - t)*a + t*b for rows (..., d); a tensor t has one entry a row. Exactly a at t = 0 and b at t = 1."""
    t = torch.as_tensor(t, dtype=a.dtype, device=a.device)[..., None]
    return (1 - t) * a + t * b


def slerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """Go from a to b along the sphere: the angle from a is t times theirs, and the length goes evenly from |a| to |b|.

    Shoemake 1985, "Animating rotation with quaternion curves", section 3.3, for unit vectors. Straight lines between
    latents pass through lengths that a generator has hardly seen; this doesn't. If a and b are parallel, opposite or
    zero, there is no single shortest arc, and it is `lerp`. Differentiable.

    Args:
        a, b: rows (..., d); their leading shapes broadcast.
        t: 0 gives a, 1 gives b; a number, or a tensor with one entry a row (or a shape that broadcasts to the rows).
    """
    if a.shape[-1:] != b.shape[-1:] or not a.dim():
        raise ShapeError(f"slerp takes two tensors of rows of one length, got {tuple(a.shape)} and {tuple(b.shape)}.")
    kind = torch.promote_types(a.dtype, b.dtype)
    a, b = full(a), full(b)  # half is too coarse for angles
    share = torch.as_tensor(t, dtype=a.dtype, device=a.device)[..., None]
    length_a, length_b = (torch.linalg.vector_norm(x, dim=-1, keepdim=True) for x in (a, b))
    zero = (length_a == 0) | (length_b == 0)
    # 1 where the result is not used: a division by zero there would put NaN into the gradient
    safe_a, safe_b = (torch.where(zero, torch.ones_like(x), x) for x in (length_a, length_b))
    unit_a, unit_b = a / safe_a, b / safe_b
    difference, total = (torch.linalg.vector_norm(x, dim=-1, keepdim=True) for x in (unit_a - unit_b, unit_a + unit_b))
    difference = torch.where(zero, torch.ones_like(difference), difference)
    angle = 2 * torch.atan2(difference, total)  # exact for small angles; acos is not
    straight = zero | (angle.sin() < 1e-6)
    angle = torch.where(straight, torch.ones_like(angle), angle)
    length = (1 - share) * length_a + share * length_b
    part_a = ((1 - share) * angle).sin() / angle.sin() * (length / safe_a)
    part_b = (share * angle).sin() / angle.sin() * (length / safe_b)
    return torch.where(straight, lerp(a, b, t), part_a * a + part_b * b).to(kind)


def walk(latents: Tensor, steps: int, closed: bool = False) -> Tensor:
    """A path through key latents, `steps` frames from each to the next, by `slerp`. Key k is frame k*steps, exactly.

    Args:
        latents: (K, d) keys, two or more.
        steps: frames from one key to the next, from 1.
        closed: return to the first key, so that the frames loop without a jump.

    Returns:
        ((K - 1)*steps + 1, d), or (K*steps, d) when closed.
    """
    steps = checked_int("steps", steps, 1)
    if latents.dim() != 2 or len(latents) < 2:
        raise ShapeError(f"walk takes two or more key latents (K, latent_size), got {tuple(latents.shape)}.")
    nexts = torch.cat([latents[1:], latents[:1]])
    shares = torch.arange(steps, dtype=latents.dtype, device=latents.device) / steps
    path = slerp(latents[:, None], nexts[:, None], shares).flatten(0, 1)
    return path if closed else path[: (len(latents) - 1) * steps + 1]


def directions(weight: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The directions of latents that a generator's first layer amplifies most; they often have a meaning.

    Closed-form factorisation (Shen & Zhou 2021, "SeFa", section 3.2): eigenvectors of weight^T weight, by singular
    values. Add a multiple of one to a latent to see what it does.

    Args:
        weight: (outputs, latent_size), the first layer's matrix; of a transposed convolution with weight
            (latent_size, channels, k, k) it is `weight.flatten(1).T`.
        count: how many, at most the smaller side of the matrix.

    Returns:
        Directions (count, latent_size) of length 1, the largest component of each positive, and their singular values
        (count,), falling.
    """
    if weight.dim() != 2:
        raise ShapeError(f"directions takes a matrix (outputs, latent_size), got {tuple(weight.shape)}.")
    count = checked_int("count", count, 1, min(weight.shape))
    _, values, rows = torch.linalg.svd(weight.detach().cpu().double(), full_matrices=False)
    rows = rows[:count]
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    return (rows * largest.sign()).to(weight), values[:count].to(weight)


def check_clusters(count: int) -> int:
    """`count`, if it can be a number of clusters: 0, or a power of two from 2 to 1024; ConfigError otherwise."""
    if type(count) is not int or count not in (0, *(2**power for power in range(1, 11))):
        raise ConfigError(f"clusters must be 0 or a power of two from 2 (2, 4, 8, ... 1024), got {quote(count)}")
    return count


def label_count(num_classes: int, clusters: int) -> int:
    """How many labels networks tell apart: classes, clusters, or pairs of both; 0 if there are neither."""
    return max(1, num_classes) * max(1, clusters) if num_classes or clusters else 0


def sign_class(latents: Tensor, count: int) -> Tensor:
    """The cluster, one of `count`, all equally likely, that each latent chooses: its first signs as binary digits.

    Args:
        latents: (N, latent_size) or (N, latent_size, 1, 1); if they are short, the last digits are 0.
        count: a power of two.

    Returns:
        int64 (N,), from 0 to count - 1; the first number counts most.
    """
    latents = latents.flatten(1)
    places = _places(count, latents.shape[1], latents.device)
    return ((latents[:, : len(places)] > 0) * places).sum(1)


def with_sign_class(latents: Tensor, classes: Tensor, count: int) -> Tensor:
    """`latents` (N, latent_size) with the signs that say `classes` (N,): still normal if all are equally likely."""
    places = _places(count, latents.shape[1], latents.device)
    sizes = latents[:, : len(places)].abs()
    signed = sizes.where((classes[:, None] & places) > 0, -sizes)
    return torch.cat([signed, latents[:, len(places) :]], dim=1)


def checked_latents(latents: Tensor, count: int, latent_size: int) -> Tensor:
    """`latents`, if they are `count` of `latent_size` numbers each, in any shape; ShapeError otherwise."""
    if not isinstance(latents, Tensor) or latents.is_complex():
        raise ShapeError(f"latents must be a tensor of shape ({count}, {latent_size}), got {quote(latents)}.")
    if not latents.dim() or len(latents) != count or latents[0].numel() != latent_size:
        raise ShapeError(f"latents must be a tensor of shape ({count}, {latent_size}), got {tuple(latents.shape)}.")
    return latents


def checked_labels(labels: int | Sequence[int] | Tensor, count: int, num_classes: int) -> Tensor:
    """`labels`, one int for all or `count` of them from 0 to `num_classes` - 1, as int64 (count,).

    Raises:
        ShapeError: they are something else than ints, or not so many. ConfigError: one is out of bounds.
    """
    try:
        given = labels if isinstance(labels, Tensor) else torch.as_tensor(labels, device="cpu")
        whole = not (given.is_floating_point() or given.is_complex() or given.dtype == torch.bool)
    except (TypeError, ValueError, RuntimeError):
        whole = False
    if not whole or given.dim() > 1 or given.numel() not in (1, count):
        raise ShapeError(f"labels must be one int or {count} ints (a name's is gan.label(name)), got {quote(labels)}.")
    if given.min() < 0 or given.max() >= num_classes:
        raise ConfigError(f"labels must be 0 to {num_classes - 1}, got {quote(given.tolist())}")
    return given.long().reshape(-1).expand(count)


def _places(count: int, latent_size: int, device: torch.device) -> Tensor:
    """The values of the binary digits of a class below `count`, the largest first; `latent_size` of them at most.

    Not cached: a tensor made while `torch.export` traces holds no numbers.
    """
    return 2 ** torch.arange(count.bit_length() - 2, -1, -1, device=device)[:latent_size]


def _bits(seed: int, start: int, count: int, first: int, columns: int) -> NDArray[np.uint64]:
    """52 random bits (count, columns): entries first, first + 1, ... of the streams of rows from `start`.

    Sums and products of numpy's uint64 arrays wrap, as splitmix64 wants.
    """
    seed, start = checked_int("seed", seed, 0), checked_int("start", start, 0, 2**62)
    rows = _mix(np.arange(start, start + count, dtype=np.uint64) + _mix(np.array([seed], dtype=np.uint64)))
    steps = np.arange(first + 1, first + columns + 1, dtype=np.uint64) * np.uint64(_STEP)
    return _mix(rows[:, None] + steps) >> np.uint64(12)


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The mixing function of splitmix64, one to one on 64 bits."""
    for distance, factor in _ROUNDS:
        bits = (bits ^ (bits >> distance)) * factor
    return bits ^ (bits >> np.uint64(31))


def _uniform(bits: NDArray[np.uint64]) -> Tensor:
    """52 bits as a float64 strictly between 0 and 1."""
    return torch.from_numpy((bits.astype(np.float64) + 0.5) * 2.0**-52)
