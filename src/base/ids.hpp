#pragma once

#include <compare>
#include <functional>
#include <string>
#include <utility>

namespace vitalwire::base {

/// A string that names one kind of thing and cannot be mistaken for another kind.
template <class Tag>
class Id {
public:
    Id() = default;
    explicit Id(std::string value) : value_(std::move(value)) {}

    const std::string& str() const { return value_; }
    bool empty() const { return value_.empty(); }

    friend auto operator<=>(const Id&, const Id&) = default;

private:
    std::string value_;
};

using GuestId =
    Id<struct GuestTag>;            ///< Nova's instance uuid; in a watched directory the name in the socket's file name
using HostId = Id<struct HostTag>;  ///< Nova's service host of the compute node
using GroupId = Id<struct GroupTag>;      ///< Nova's server group uuid
using FaultId = Id<struct FaultTag>;      ///< UUID made by the agent that opened the fault
using SessionId = Id<struct SessionTag>;  ///< made by the agent for each accepted init

}  // namespace vitalwire::base

template <class Tag>
struct std::hash<vitalwire::base::Id<Tag>> {
    std::size_t operator()(const vitalwire::base::Id<Tag>& id) const noexcept {
        return std::hash<std::string>{}(id.str());
    }
};
