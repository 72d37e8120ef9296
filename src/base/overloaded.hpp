#pragma once

namespace vitalwire::base {

/// A visitor of a variant, made of lambdas.
template <class... F>
struct overloaded : F... {
    using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;

}  // namespace vitalwire::base
