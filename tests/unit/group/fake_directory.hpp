#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "group/router.hpp"

namespace vitalwire::group {

/// A cloud in a map: which guest is in which group on which host.
class FakeDirectory : public Directory {
public:
    void put(const std::string& guest, const std::string& group, const std::string& host, bool messaging = true) {
        places_[base::GuestId(guest)] = {base::GroupId(group), base::HostId(host), messaging};
    }
    void erase(const std::string& guest) { places_.erase(base::GuestId(guest)); }

    std::optional<Member> member(const base::GuestId& guest) const override {
        const auto place = places_.find(guest);
        if (place == places_.end()) return std::nullopt;
        return Member{guest, place->second.host, place->second.messaging};
    }
    std::optional<base::GroupId> group_of(const base::GuestId& guest) const override {
        const auto place = places_.find(guest);
        if (place == places_.end() || place->second.group.empty()) return std::nullopt;
        return place->second.group;
    }
    std::vector<Member> members(const base::GroupId& group) const override {
        std::vector<Member> found;
        for (const auto& [guest, place] : places_) {
            if (!group.empty() && place.group == group) found.push_back({guest, place.host, place.messaging});
        }
        return found;
    }
    wire::MemberState state(const base::GuestId& guest) const override {
        wire::MemberState state;
        state.instance_id = guest.str();
        state.state = "active";
        return state;
    }

private:
    struct Place {
        base::GroupId group;
        base::HostId host;
        bool messaging = true;
    };
    std::map<base::GuestId, Place> places_;
};

}  // namespace vitalwire::group
