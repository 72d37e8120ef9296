#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace vitalwire::base {

/// Why something was refused. The names that a peer can be told are the `code` of a nack (proto-spec).
enum class Errc : std::uint8_t {
    malformed,            ///< not a message at all: syntax, size, encoding
    bad_field,            ///< a key is missing, of the wrong type or out of range
    unsupported_version,  ///< the layer's version is not one we speak
    unknown_msg_type,
    unknown_address,
    interval_too_small,
    no_session,
    not_enabled,   ///< the flavor does not ask for this application
    not_in_group,  ///< the guest is a member of no server group
    rate_limited,
    too_large,
    unavailable,   ///< the other side cannot be reached now; worth another try
    disconnected,  ///< nobody is at the other end of the connection
    incomplete,    ///< some of the answer was lost
    timeout,
    not_found,
    permission,
    in_use,    ///< the name belongs to another
    too_many,  ///< a limit on the number of things is reached
    io,        ///< the operating system said no
    config,    ///< an operator's file or option is wrong
};

std::string_view to_string(Errc code);
/// The kind with this name; absent for the name of none.
std::optional<Errc> parse_errc(std::string_view name);

/// The one error type: a kind for programs, a sentence for people.
struct Error {
    Errc code = Errc::io;
    std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Errc code, std::string message) {
    return tl::make_unexpected(Error{code, std::move(message)});
}

}  // namespace vitalwire::base
