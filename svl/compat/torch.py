"""PyTorch: nested containers of tensors, base classes of layers, and the parts of the compiler."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._guards import TracingContext, tracing
from torch._inductor.exc import InductorError
from torch._ops import OpOverload
from torch._subclasses import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

__all__ = [
    "CONVOLUTION",
    "DispatchMode",
    "InductorError",
    "OpOverload",
    "compile_graph",
    "cpp_compiler",
    "cuda_kernel",
    "fused_attention",
    "fused_attention_gradients",
    "has_hooks",
    "pytree",
    "schema",
    "trace",
    "unfused_recurrence",
    "untraced",
    "version",
]

CONVOLUTION: type[nn.Module] = nn.modules.conv._ConvNd
"""The base class of convolutions of any number of dimensions."""
CPP_COMPILERS = ("g++", "clang++", "c++")
"""Commands of C++ compilers, the preferred one first."""
DispatchMode = TorchDispatchMode
"""The base class of contexts that replace operations of torch below ``torch.func``'s transformations."""


def untraced() -> AbstractContextManager[Any]:
    """Within the block, tensors are real ones, also while a function is being traced."""
    return _disable_current_modes()


def trace(function: Callable[..., Any]) -> Callable[..., GraphModule]:
    """A function that traces ``function`` without computing it; tensors from outside become constants of the graph."""
    return make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)


@contextmanager
def unfused_recurrence() -> Iterator[None]:
    """Within the block, recurrent layers are computed operation by operation; cuDNN and oneDNN are off.

    The documented contexts also set how float32 is rounded, which warns on some machines.
    """
    before = torch._C._get_mkldnn_enabled(), torch._C._get_cudnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    torch._C._set_cudnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before[0])
        torch._C._set_cudnn_enabled(before[1])


def version(tensor: Tensor) -> int:
    """A number that grows with every operation that changes the tensor in place."""
    return int(tensor._version)


def has_hooks(module: nn.Module) -> bool:
    """Whether anything is called before or after the module's ``forward``."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def schema(target: Any) -> Any:
    """The schema of an operator that a traced graph calls, which says what it writes to; ``None`` for anything else."""
    return getattr(target, "_schema", None)


def compile_graph(
    graph: GraphModule, inputs: list[Tensor], options: dict[str, Any]
) -> Callable[..., tuple[Tensor, ...]]:
    """Compile a traced graph for the shapes of ``inputs`` with TorchInductor; what it compiles is cached on disk.

    Raises:
        InductorError: if TorchInductor cannot compile it.
    """
    # It caches on disk only what it compiles under a shape environment, which must not make shapes dynamic.
    mode = FakeTensorMode(shape_env=ShapeEnv())
    fake: list[Any] = [mode.from_tensor(tensor, static_shapes=True) for tensor in inputs]
    with tracing(TracingContext(mode)):
        return torch._inductor.compile(graph, fake, options=options)


def cpp_compiler() -> str:
    """The command of the C++ compiler that TorchInductor uses.

    It looks for one name alone: ``CXX``, else that of the platform's usual compiler. Where ``CXX`` is not set and that
    name leads to nothing, another compiler of the path is made the one that it uses.

    Raises:
        Exception: of several unrelated classes, if there is no compiler.
    """
    from torch._inductor import config, cpp_builder

    names = [name for name in config.cpp.cxx if name]
    if "CXX" not in os.environ and not any(map(shutil.which, names)):
        config.cpp.cxx = (None, *names, *filter(shutil.which, CPP_COMPILERS))  # type: ignore[assignment]
    return cpp_builder.get_cpp_compiler()


def cuda_kernel(source: str, name: str, options: list[str]) -> Callable[..., None]:
    """A CUDA kernel, compiled by NVRTC for the present GPU.

    Args:
        source: CUDA C++, with the kernel as a function ``extern "C"``.
        name: of the kernel.
        options: of the compiler.

    Returns:
        ``kernel(grid, block, arguments)``: a number of thread blocks and of threads in each, for three axes; and
        tensors, whole numbers and ``None`` for a null pointer.

    Raises:
        RuntimeError: if it cannot be compiled or loaded.
    """
    kernel = torch.cuda._compile_kernel(source, name, nvcc_options=options)

    def launch(grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]) -> None:
        device = next(argument.device for argument in arguments if isinstance(argument, Tensor))
        if any(argument is None for argument in arguments):
            empty = torch.empty(0, device=device)  # whose pointer is null
            arguments = [empty if argument is None else argument for argument in arguments]
        with torch.cuda.device(device):
            kernel(grid, block, arguments)

    return launch


def fused_attention(q: Tensor, k: Tensor, v: Tensor, is_causal: bool, scale: float) -> tuple[Tensor, Tensor]:
    """Attention by the fused kernel of the device, and the logarithms of its sums, for the gradient."""
    if q.is_cuda:
        out, logsum, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(
            q, k, v, None, True, 0.0, is_causal, scale=scale
        )
    else:
        out, logsum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, is_causal, scale=scale)
    return out.contiguous(), logsum.contiguous()


def fused_attention_gradients(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, logsum: Tensor, is_causal: bool, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of :func:`fused_attention` with respect to queries, keys and values."""
    if q.is_cuda:
        unused = torch.zeros((), dtype=torch.int64, device=q.device)  # of dropout
        heads = gradient, q, k, v, None, out, logsum, unused, unused
        gradients = torch.ops.aten._scaled_dot_product_efficient_attention_backward(
            *heads, 0.0, [True, True, True, False], is_causal, scale=scale
        )
    else:
        gradients = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            gradient, q, k, v, out, logsum, 0.0, is_causal, scale=scale
        )
    first, second, third = (part.contiguous() for part in gradients[:3])
    return first, second, third
