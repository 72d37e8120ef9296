#include "guest/lib/group_view.hpp"

#include <optional>
#include <string>

namespace vitalwire::guest {

namespace {

const char* text_or_null(const std::optional<std::string>& text) {
    return text ? text->c_str() : nullptr;
}

}  // namespace

MemberView::MemberView(const wire::MemberState& state) {
    if (state.metadata) {
        for (const auto& [key, value] : *state.metadata)
            metadata_.push_back({key.c_str(), value.c_str()});
    }
    for (const std::string& name : state.reduced)
        reduced_.push_back(name.c_str());
    member_.instance_id = state.instance_id.c_str();
    member_.display_name = state.display_name.c_str();
    member_.state = state.state.c_str();
    member_.state_description = state.state_description.c_str();
    member_.heartbeat = text_or_null(state.heartbeat);
    member_.hostname = text_or_null(state.hostname);
    member_.host = text_or_null(state.host);
    member_.node = text_or_null(state.node);
    member_.tenant_id = text_or_null(state.tenant_id);
    member_.launched_at = text_or_null(state.launched_at);
    // Told, but empty, is not the same as not told.
    static constexpr vw_group_metadata kNone{};
    member_.metadata = metadata_.empty() ? &kNone : metadata_.data();
    if (!state.metadata) member_.metadata = nullptr;
    member_.metadata_count = metadata_.size();
    member_.reduced = reduced_.data();
    member_.reduced_count = reduced_.size();
    member_.json = state.raw.c_str();
}

}  // namespace vitalwire::guest
