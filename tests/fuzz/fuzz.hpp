#pragma once

// tests/fuzz: everything that parses what others send, and the state machines, on hostile input. A target is one
// LLVMFuzzerTestOneInput. Built with clang it is a libFuzzer program (preset "fuzz"); with any other compiler
// replay.cpp runs it on the corpus and a fixed number of mutations of it, so that every build has it among its tests.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

/// What must hold whatever the input is. Ends the program, so that the fuzzer keeps the input.
#define FUZZ_REQUIRE(condition) \
    ((condition) ? static_cast<void>(0) : ::vitalwire::fuzz::violated(#condition, __FILE__, __LINE__))

namespace vitalwire::fuzz {

[[noreturn]] inline void violated(const char* what, const char* file, int line) {
    std::fprintf(stderr, "%s:%d: violated: %s\n", file, line, what);
    std::abort();
}

/// Takes an input apart: first small decisions, then text. Zero and empty when it is used up.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

    bool empty() const { return rest_.empty(); }

    std::uint8_t byte() {
        if (rest_.empty()) return 0;
        const auto value = static_cast<std::uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        return value;
    }

    /// One of `choices` (an array or an initializer list).
    template <class Choices>
    const auto& pick(const Choices& choices) {
        return *(std::begin(choices) + byte() % std::size(choices));
    }

    bool coin() { return byte() % 2 == 1; }

    std::string_view text(std::size_t size) {
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(taken.size());
        return taken;
    }

    std::string_view rest() { return text(rest_.size()); }

private:
    std::string_view rest_;
};

}  // namespace vitalwire::fuzz
