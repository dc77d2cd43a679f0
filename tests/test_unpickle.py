from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from genmetrics import unpickle
from genmetrics.unpickle import RefusedPickleError, StandIn, restricted_loads, sealed_array
from support.hostile import ROUTES, route

VALUES = {
    "float64": np.arange(3.0),
    "float32 in Fortran order": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "a view": np.arange(16.0).reshape(4, 4)[::2, 1:],
    "empty": np.zeros((0, 3)),
    "big-endian": np.arange(3, dtype=">f4"),
    "half": np.arange(3, dtype=np.float16),
    "bool": np.array([True, False]),
    "without dimensions": np.array(3.0),
    "complex": np.array([1j]),
}


class Pair(StandIn):
    __slots__ = ()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_protocol(protocol: int) -> None:
    loaded = restricted_loads(pickle.dumps(VALUES, protocol), encoding="latin1")

    for name, value in VALUES.items():
        assert np.asarray(loaded[name]).dtype.newbyteorder("=") == value.dtype.newbyteorder("=")
        np.testing.assert_array_equal(loaded[name], value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_of_every_protocol(protocol: int) -> None:
    plain = {"a": [1, 2.5, None, True, "text", b"", b"bytes\xff"], "b": (1, (2,))}
    plain |= {"scalars": (np.float32(1.5), np.int64(-7))}

    loaded = restricted_loads(pickle.dumps(plain, protocol), encoding="latin1")

    assert loaded == plain
    assert restricted_loads(pickle.dumps(OrderedDict(a=1), protocol)) == {"a": 1}


def test_a_dict_in_an_array_as_numpy_saves_it() -> None:
    loaded = restricted_loads(pickle.dumps(np.array({"mu": np.arange(2.0)}, dtype=object)))

    assert list(loaded) == ["mu"]
    np.testing.assert_array_equal(loaded["mu"], [0.0, 1.0])


def test_arrays_of_python_2() -> None:
    """Bytes were text there: what ``pickle.dump(array, file, 2)`` of Python 2 wrote."""
    data = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85"
        b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U\x08" + np.array([1.5, -2.0], "<f4").tobytes() + b"tb."
    )

    np.testing.assert_array_equal(restricted_loads(data, encoding="latin1"), np.array([1.5, -2.0], np.float32))
    np.testing.assert_array_equal(pickle.loads(data, encoding="latin1"), restricted_loads(data, encoding="latin1"))


@pytest.mark.parametrize("name", ROUTES)
def test_nothing_is_run(name: str, tmp_path: Path) -> None:
    created = tmp_path / "created"
    data = b"\x80\x04" + route(name, created) + b"."

    with pytest.raises(RefusedPickleError) as caught:
        restricted_loads(data)

    assert str(caught.value) == f"it asks for '{ROUTES[name][1]}'"
    assert not created.exists()


NDARRAY = b"cnumpy\nndarray\n"
EMPTY = b"cnumpy.core.multiarray\n_reconstruct\n(" + NDARRAY + b"K\x00\x85C\x01btR"
F8 = b"cnumpy\ndtype\n(X\x02\0\0\0f8tR"

REFUSED = {
    "a codec that is no text encoding": (b"c_codecs\nencode\n(Vuryyb\nVrot13\ntR.", "the encoding 'rot13'"),
    "codecs.lookup": (b"c_codecs\nlookup\n(Vzip\ntR.", "'_codecs.lookup'"),
    "an attribute of an allowed name": (b"\x80\x04Vnumpy\nVdtype.__class__\n\x93.", "'numpy.dtype.__class__'"),
    "state for a function": (b"c_codecs\nencode\n}Vx\nK\x01sb.", "it changes what it was given"),
    "attributes of a function": (b"c_codecs\nencode\nN}V__code__\nK\x01s\x86b.", "it changes what it was given"),
    "state for a class": (b"cnumpy\ndtype\n}Vx\nK\x01sb.", "it changes what it was given"),
    "state for the class ndarray": (NDARRAY + b"}Vx\nK\x01sb.", "it changes what it was given"),
    "a call of ndarray": (NDARRAY + b"(K\x05\x85tR.", "is not callable"),
    "another class of array": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\nK\x00\x85C\x01btR.",
        "an array of another class",
    ),
    "an array of objects": (EMPTY + b"(K\x01K\x02\x85cnumpy\ndtype\n(X\x02\0\0\0O8tR\x89]tb.", "Python objects in an"),
    "a type with objects in it": (
        EMPTY + b"(K\x01K\x01\x85cnumpy\ndtype\n(Vf8,O\ntR\x89C\x10" + bytes(16) + b"tb.",
        "'f8,O'",
    ),
    "too few bytes": (
        EMPTY + b"(K\x01K\x02\x85" + F8 + b"\x89C\x08" + bytes(8) + b"tb.",
        r"shape \(2,\) and type .* 8 bytes",
    ),
    "values set twice": (
        EMPTY + (b"(K\x01K\x01\x85" + F8 + b"\x89C\x08" + bytes(8) + b"tb") * 2 + b".",
        "sets the values of an array twice",
    ),
    "a negative shape": (EMPTY + b"(K\x01J\xff\xff\xff\xff\x85" + F8 + b"\x89C\x00tb.", r"of shape \(-1,\)"),
    "bytes of a size": (b"cbuiltins\nbytes\n(J\xff\xff\xff\x7ftR.", "'builtins.bytes' of something"),
    "a reference outside": (b"\x80\x02Vx\nQ.", "refers to something outside itself"),
    "the table of extensions": (b"\x80\x02\x82\x01.", "instruction EXT1"),
    "buffers outside": (b"\x80\x05\x97.", "instruction NEXT_BUFFER"),
    "room for many objects": (b"\x80\x02Nr\xff\xff\xff\xff.", "remembers an object as number 4294967295"),
    "no end": (pickle.dumps(VALUES)[:-20], "it is damaged"),
    "nothing": (b"", "it is damaged"),
    "a stack that is empty": (b"\x80\x02R.", "it is damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    data, message = REFUSED[name]

    with pytest.raises(RefusedPickleError, match=message):
        restricted_loads(data)


def test_a_class_that_stands_in_cannot_be_changed() -> None:
    allowed = {("x", "Pair"): Pair}

    assert restricted_loads(b"\x80\x02cx\nPair\n(K\x01K\x02t\x85\x81.", allowed) == (1, 2)
    for change in (b"cx\nPair\n}Vx\nK\x01sb.", b"cx\nPair\nN}V__setstate__\nK\x01s\x86b.", b"cx\nPair\n)\x81}b."):
        with pytest.raises(RefusedPickleError):
            restricted_loads(b"\x80\x02" + change, allowed)
    assert not hasattr(Pair, "x")
    with pytest.raises(RefusedPickleError, match="changes a class"):
        Pair.x = 1


def test_results_of_allowed_functions_cannot_be_changed() -> None:
    allowed = {("x", "make"): lambda: sealed_array(np.zeros(1))}
    data = b"\x80\x02cx\nmake\n)R(K\x01K\x01\x85" + F8 + b"\x89C\x08" + bytes(8) + b"tb."

    with pytest.raises(RefusedPickleError, match="twice"):
        restricted_loads(data, allowed)


def test_the_allowed_names_are_few() -> None:
    """A name more is a way more; whoever adds one looks at what it does with anything at all."""
    assert len(unpickle._ALLOWED) == 12


def test_tuples_within_tuples_do_not_crash_the_process() -> None:
    """They are hashed by recursion in C, which would end the process."""
    deep = b"}" + b")" + b"\x85" * 2_000_000 + b"Ns."
    with pytest.raises(RefusedPickleError, match="more than 80,000 tuples"):
        restricted_loads(deep)


def test_small_pickles_of_endless_trees_are_refused_at_once() -> None:
    """2**40 tuples by reference, as a key of a dict or a member of a set."""
    tree = b"K\x01" + b"2\x86" * 40
    for data in (b"\x80\x02}(" + tree + b"K\x02u.", b"\x80\x02}" + tree + b"K\x02s.", b"(" + tree + b"K\x02d."):
        with pytest.raises(RefusedPickleError, match="a dict whose keys are of type tuple"):
            restricted_loads(data)
    with pytest.raises(RefusedPickleError, match="the instruction EMPTY_SET"):
        restricted_loads(b"\x80\x04\x8f(" + tree + b"\x90.")
