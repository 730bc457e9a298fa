"""A vector type of eight float32 numbers for Numba kernels.

Numba relies on LLVM's loop vectoriser, which fails for short loops over shared buffers. Here each operation
is emitted as an LLVM vector instruction, which LLVM can lower on every processor. The operators +, -, *, /
take vectors and float32 scalars; comparisons return masks, which & combines.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.extending import models, overload, register_model

from ilrm.rendering.cpu.threads import jit

intrinsic: Any = extending.intrinsic  # its type stub wrongly includes the typing context

LANES = 8
FLAGS = ("contract",)  # allows fused multiply-add
FLOATS = ir.VectorType(ir.FloatType(), LANES)
INTS = ir.VectorType(ir.IntType(32), LANES)
BITS = ir.VectorType(ir.IntType(1), LANES)


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name="float32x8")


class _Mask(types.Type):
    def __init__(self) -> None:
        super().__init__(name="mask8")


VECTOR, MASK = _Vector(), _Mask()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, FLOATS)


@register_model(_Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, BITS)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), FLOATS.as_pointer())


@intrinsic
def load(typing_context, array, index):  # 1-D contiguous float32 array: array[index : index + 8]
    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], *arguments)
        return builder.load(pointer, align=4)

    return VECTOR(array, types.intp), generate


@intrinsic
def store(typing_context, array, index, value):
    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, VECTOR), generate


@intrinsic
def splat(typing_context, scalar):  # eight copies of the scalar
    def generate(context, builder, signature, arguments):
        one = builder.insert_element(ir.Constant(FLOATS, ir.Undefined), arguments[0], _int(0))
        return builder.shuffle_vector(one, one, ir.Constant(INTS, [0] * LANES))

    return VECTOR(types.float32), generate


@intrinsic
def ramp(typing_context):  # 0, 1, ..., 7
    def generate(context, builder, signature, arguments):
        return ir.Constant(FLOATS, [float(k) for k in range(LANES)])

    return VECTOR(), generate


@intrinsic
def total(typing_context, vector):  # sum of the lanes, pairwise
    def generate(context, builder, signature, arguments):
        v = arguments[0]
        for step in (4, 2, 1):
            places = [(k + step) % LANES for k in range(LANES)]
            v = builder.fadd(v, builder.shuffle_vector(v, v, ir.Constant(INTS, places)))
        return builder.extract_element(v, _int(0))

    return types.float32(VECTOR), generate


@intrinsic
def select(typing_context, mask, yes, no):
    def generate(context, builder, signature, arguments):
        return builder.select(*arguments)

    return VECTOR(MASK, VECTOR, VECTOR), generate


@intrinsic
def _nearest(typing_context, vector):
    def generate(context, builder, signature, arguments):
        name, kind = f"llvm.rint.v{LANES}f32", ir.FunctionType(FLOATS, [FLOATS])
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, arguments)

    return VECTOR(VECTOR), generate


@intrinsic
def _power_of_two(typing_context, vector):  # of integers above -127
    def generate(context, builder, signature, arguments):
        exponent = builder.add(builder.fptosi(arguments[0], INTS), ir.Constant(INTS, [127] * LANES))
        return builder.bitcast(builder.shl(exponent, ir.Constant(INTS, [23] * LANES)), FLOATS)

    return VECTOR(VECTOR), generate


def _int(value: int) -> Any:
    return ir.Constant(ir.IntType(32), value)


def _binary(result: Any, operand: Any, emit: Callable[..., Any]) -> Any:
    @intrinsic
    def operation(typing_context, a, b):
        def generate(context, builder, signature, arguments):
            return emit(builder, *arguments)

        return result(operand, operand), generate

    return operation


def _define(symbol: Any, result: Any, emit: Callable[..., Any]) -> None:
    operation = _binary(result, VECTOR, emit)

    @overload(symbol, inline="always")
    def vector_operator(a, b):
        if a is VECTOR and b is VECTOR:
            return lambda a, b: operation(a, b)
        if a is VECTOR and isinstance(b, types.Float):
            return lambda a, b: operation(a, splat(b))
        if b is VECTOR and isinstance(a, types.Float):
            return lambda a, b: operation(splat(a), b)
        return None


def minimum(a, b):
    """Lane-wise minimum."""
    raise NotImplementedError("only available inside kernels")


def maximum(a, b):
    """Lane-wise maximum."""
    raise NotImplementedError("only available inside kernels")


def _less(builder: Any, a: Any, b: Any) -> Any:
    return builder.fcmp_ordered("<", a, b)


_define(operator.add, VECTOR, lambda builder, a, b: builder.fadd(a, b, flags=FLAGS))
_define(operator.sub, VECTOR, lambda builder, a, b: builder.fsub(a, b, flags=FLAGS))
_define(operator.mul, VECTOR, lambda builder, a, b: builder.fmul(a, b, flags=FLAGS))
_define(operator.truediv, VECTOR, lambda builder, a, b: builder.fdiv(a, b, flags=FLAGS))
_define(operator.lt, MASK, _less)
_define(operator.le, MASK, lambda builder, a, b: builder.fcmp_ordered("<=", a, b))
_define(operator.gt, MASK, lambda builder, a, b: builder.fcmp_ordered(">", a, b))
_define(operator.ge, MASK, lambda builder, a, b: builder.fcmp_ordered(">=", a, b))
_define(minimum, VECTOR, lambda builder, a, b: builder.select(_less(builder, a, b), a, b))
_define(maximum, VECTOR, lambda builder, a, b: builder.select(_less(builder, a, b), b, a))
_and = _binary(MASK, MASK, lambda builder, a, b: builder.and_(a, b))


@overload(operator.and_, inline="always")
def _mask_and(a, b):
    if a is MASK and b is MASK:
        return lambda a, b: _and(a, b)
    return None


LOG2E, LOWEST = np.float32(1.4426950408889634), np.float32(-80.0)
C0, C1, C2, C3, C4, C5 = (
    np.float32(c)
    for c in (1.0, 0.6931472067, 0.2402210736, 0.05550327214, 0.009676037098, 0.001340043217)
)


@jit
def exp(x):
    """Lane-wise exp for x <= 0, with a relative error of 2e-7; x is clamped at -80."""
    t = maximum(x, LOWEST) * LOG2E
    n = _nearest(t)
    f = t - n
    return (C0 + f * (C1 + f * (C2 + f * (C3 + f * (C4 + f * C5))))) * _power_of_two(n)
