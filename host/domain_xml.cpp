#include "host/domain_xml.hpp"

#include <libxml/parser.h>
#include <libxml/tree.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

namespace vitalwire::host {

using wire::ChannelKind;

namespace {

constexpr std::size_t kMaxXml = std::size_t{4} << 20U;
constexpr int kParse = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;

using Document = std::unique_ptr<xmlDoc, decltype(&xmlFreeDoc)>;

std::string_view text_of(const xmlChar* text) {
    return text == nullptr ? std::string_view() : reinterpret_cast<const char*>(text);
}

bool is_element(const xmlNode& node, std::string_view name) {
    return node.type == XML_ELEMENT_NODE && node.ns == nullptr && text_of(node.name) == name;
}

const xmlNode* child(const xmlNode& parent, std::string_view name) {
    for (const xmlNode* node = parent.children; node != nullptr; node = node->next) {
        if (is_element(*node, name)) return node;
    }
    return nullptr;
}

std::string attribute(const xmlNode& node, const char* name) {
    xmlChar* value = xmlGetNoNsProp(&node, reinterpret_cast<const xmlChar*>(name));
    std::string copy(text_of(value));
    xmlFree(value);
    return copy;
}

std::optional<ChannelKind> kind_of(std::string_view name) {
    for (const ChannelKind kind :
         {ChannelKind::native, ChannelKind::existing_heartbeat, ChannelKind::existing_messaging}) {
        if (name == wire::channel_name(kind)) return kind;
    }
    return std::nullopt;
}

std::optional<DomainChannel> read_channel(const xmlNode& channel) {
    const xmlNode* target = child(channel, "target");
    const xmlNode* source = child(channel, "source");
    if (target == nullptr || source == nullptr) return std::nullopt;
    if (attribute(channel, "type") != "unix" || attribute(*target, "type") != "virtio") return std::nullopt;
    const auto kind = kind_of(attribute(*target, "name"));
    std::string path = attribute(*source, "path");
    // mode "connect": QEMU is the client of a server that somebody else runs.
    if (!kind || attribute(*source, "mode") != "bind" || !path.starts_with('/')) return std::nullopt;
    return DomainChannel{*kind, std::move(path)};
}

}  // namespace

base::Result<std::vector<DomainChannel>> channels_of(std::string_view xml) {
    if (xml.size() > kMaxXml)
        return base::fail(base::Errc::too_large, "the domain's XML is longer than " + std::to_string(kMaxXml));
    const Document document(xmlReadMemory(xml.data(), static_cast<int>(xml.size()), nullptr, nullptr, kParse),
                            &xmlFreeDoc);
    const xmlNode* root = document ? xmlDocGetRootElement(document.get()) : nullptr;
    if (root == nullptr || xmlGetIntSubset(document.get()) != nullptr || !is_element(*root, "domain"))
        return base::fail(base::Errc::malformed, "the domain's XML cannot be read: expected <domain> without a DTD");
    std::vector<DomainChannel> channels;
    const xmlNode* devices = child(*root, "devices");
    for (const xmlNode* node = devices == nullptr ? nullptr : devices->children; node != nullptr; node = node->next) {
        if (!is_element(*node, "channel")) continue;
        auto channel = read_channel(*node);
        const bool second_of_a_name =
            channel && std::any_of(channels.begin(), channels.end(),
                                   [&](const DomainChannel& known) { return known.kind == channel->kind; });
        if (channel && !second_of_a_name) channels.push_back(std::move(*channel));
    }
    return channels;
}

}  // namespace vitalwire::host
