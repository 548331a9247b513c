// A kernel of svl/native on a CPU, one block after the other: KERNEL of the file SOURCE.
#include "lanes.h"
#include SOURCE
#include <tuple>
#include <utility>

namespace {
template <class T>
T argument(i64 bits) {
  if constexpr (std::is_pointer_v<T>) return reinterpret_cast<T>(bits);
  else return (T)bits;
}
template <class... T>
struct Call {
  static inline void (*kernel)(T...);
  static inline std::tuple<T...> arguments;
  static void run() { std::apply(kernel, arguments); }
  template <size_t... I>
  static void keep(const i64* bits, std::index_sequence<I...>) { arguments = {argument<T>(bits[I])...}; }
};
template <class... T>
void launch(void (*kernel)(T...), int blocks, int warps, bool is_reversed, const i64* bits) {
  using Kept = Call<T...>;
  Kept::kernel = kernel;
  Kept::keep(bits, std::index_sequence_for<T...>());
  for (lanes::block = 0; lanes::block < blocks; lanes::block++) lanes::run(Kept::run, warps, is_reversed);
}
}  // namespace

extern "C" void emulate(int blocks, int warps, bool is_reversed, const i64* arguments) {
  launch(KERNEL, blocks, warps, is_reversed, arguments);
}
