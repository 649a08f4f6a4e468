"""NumPy arrays, without NumPy's pickling and without importing NumPy: a dtype string, a shape, and the bytes.

Plain arrays only: exactly ``ndarray``, a dtype that its string tells whole, not in Fortran's order (which pickling keeps). All others
are pickled. An array that is rebuilt is writable and its own, even where the original was read-only: what ``zero_copy`` lent upstream is
no concern downstream. (Those that are pickled, too: NumPy would have them read-only again.)

A ``memoryview`` likewise comes back as one, of the same format and shape, upon memory of its own; cloudpickle would make it ``bytes``.

Considered and refused: NumPy's own reduction (13 + 21 us a hop against 2 + 2, and read-only arrays stay read-only).
"""

from __future__ import annotations

import pickle
import sys
from typing import Any

from ..lazy import lazy

__all__ = ["is_plain_array", "memory_under", "raw_bytes", "rebuild", "rebuild_locked", "rebuild_nested", "reduce_array", "reduce_view"]

numpy = lazy("numpy")

OF_A_LIBRARY = 2  # ``isbuiltin`` of a dtype that somebody else has made: its string may be that of no dtype (``<f1`` of ml_dtypes)


def is_plain_array(item: Any, kind: type) -> bool:
    """Tell whether ``item``, of the type ``kind``, may go as dtype string, shape and bytes."""
    if not _is_exact(kind):
        return False
    dtype, flags = item.dtype, item.flags
    if dtype.kind not in "biufcSUmM" or dtype.isbuiltin == OF_A_LIBRARY:
        return False
    return dtype.itemsize > 0 and dtype.metadata is None and (flags.c_contiguous or not flags.f_contiguous)


def _is_exact(kind: type) -> bool:
    loaded = sys.modules.get("numpy")
    return loaded is not None and kind is getattr(loaded, "ndarray", None)


def raw_bytes(array: Any) -> memoryview | bytes:
    """Return the bytes in C order: a view where they lie so, else a copy."""
    return memoryview(array.reshape(-1).view("u1")) if array.flags.c_contiguous else array.tobytes()


def memory_under(array: Any) -> Any:
    """Return the object whose memory an array (or another object with a buffer) shows; ``None`` where the array has its own."""
    loaded = sys.modules.get("numpy")
    while loaded is not None and issubclass(type(array), loaded.ndarray):  # not isinstance: a proxy's ``__class__`` is code of its own
        array = array.base
    return array.obj if type(array) is memoryview else array


def rebuild(dtype: str, shape: tuple[int, ...], data: Any, *, copy: bool) -> Any:
    """Return the array, as a copy of its own or as a view of ``data``."""
    array = numpy.ndarray(shape, dtype, data)
    return array.copy() if copy else array


def reduce_array(array: Any, kind: type) -> Any:
    """Return how to pickle an array, of the type ``kind``, its bytes out of band where they are many: ``NotImplemented`` where NumPy's own
    way is right."""
    if is_plain_array(array, kind):
        return _reduce_plain(array)
    return _reduce_locked(array) if _is_exact(kind) and not array.flags.writeable else NotImplemented


def _reduce_plain(array: Any) -> tuple[Any, ...]:
    if not array.flags.c_contiguous:
        array = array.copy("C")
    return rebuild_nested, (array.dtype.str, array.shape, pickle.PickleBuffer(array.reshape(-1).view("u1")))


def _reduce_locked(array: Any) -> Any:
    """Reduce a read-only array that is not plain, and all of whose bytes are its own and in one piece: of others NumPy sends copies."""
    dtype, flags = array.dtype, array.flags
    if dtype.hasobject or not dtype.itemsize or not flags.forc:
        return NotImplemented
    order = "C" if flags.c_contiguous else "F"
    return rebuild_locked, (dtype, array.shape, order, pickle.PickleBuffer(array.reshape(-1, order=order).view("u1")))


def rebuild_locked(dtype: Any, shape: tuple[int, ...], order: str, data: Any) -> Any:
    """Return what ``rebuild_nested`` does, of any dtype and in either order."""
    return numpy.ndarray(shape, dtype, _writable(data), order=order)


def rebuild_nested(dtype: str, shape: tuple[int, ...], data: Any) -> Any:
    """Return the array upon ``data``: private memory, writable even if the original was not, or a read-only view that was asked for."""
    return numpy.ndarray(shape, dtype, _writable(data))


def _writable(data: Any) -> Any:
    """Return a buffer that was pickled as read-only, where it is private memory, as what may be written."""
    if type(data) is bytes:  # within the pickle, of a read-only array
        data = bytearray(data)
    elif type(data) is memoryview and type(data.obj) is bytearray and len(data.obj) == data.nbytes:  # the same out of band
        data = data.obj
    return data


def reduce_view(view: memoryview) -> tuple[Any, ...]:
    """Reduce a ``memoryview``: to be made again upon its bytes."""
    if len(view.format.removeprefix("@")) != 1:
        raise TypeError(f"cannot pickle a memoryview of the format {view.format!r}, which could not be made again")
    data = view.cast("B") if view.c_contiguous and view.nbytes else view.tobytes()
    return _rebuild_view, (pickle.PickleBuffer(data), view.format, view.shape)


def _rebuild_view(data: Any, code: str, shape: tuple[int, ...]) -> memoryview:
    flat = memoryview(data).cast("B")
    return flat.cast(code, shape) if flat.nbytes and len(shape) != 1 else flat.cast(code)  # type: ignore[call-overload,no-any-return]
