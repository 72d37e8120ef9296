#pragma once

#include <vitalwire/vitalwire.h>

#include <vector>

#include "wire/group_pdu.hpp"

namespace vitalwire::guest {

/// A member's state as the C interface shows it. Points into the state it was made of.
class MemberView {
public:
    explicit MemberView(const wire::MemberState& state);
    MemberView(const MemberView&) = delete;
    MemberView& operator=(const MemberView&) = delete;

    const vw_group_member* get() const { return &member_; }

private:
    std::vector<vw_group_metadata> metadata_;
    std::vector<const char*> reduced_;
    vw_group_member member_{};
};

}  // namespace vitalwire::guest
