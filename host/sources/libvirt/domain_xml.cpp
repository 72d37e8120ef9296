#include "host/sources/libvirt/domain_xml.hpp"

#include <libxml/parser.h>
#include <libxml/tree.h>

#include <memory>
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

void read_channel(const xmlNode& channel, DomainPorts& ports) {
    const xmlNode* target = child(channel, "target");
    if (target == nullptr || attribute(*target, "type") != "virtio") return;
    const std::string name = attribute(*target, "name");
    if (name == wire::kGuestAgentChannel) {
        // Its socket serves one client, and that is libvirt. It looks after the first port of this name.
        const bool open = attribute(*target, "state") == "connected";
        if (!ports.guest_agent) ports.guest_agent = open;
        return;
    }
    const auto kind = wire::channel_kind(name);
    if (!kind || !ports.taken.insert(*kind).second) return;
    const xmlNode* source = child(channel, "source");
    if (source == nullptr || attribute(channel, "type") != "unix") return;
    std::string path = attribute(*source, "path");
    // mode "connect": QEMU is the client of a server that somebody else runs.
    if (attribute(*source, "mode") == "bind" && path.starts_with('/'))
        ports.channels.push_back({*kind, std::move(path)});
}

}  // namespace

base::Result<DomainPorts> ports_of(std::string_view xml) {
    if (xml.size() > kMaxXml)
        return base::fail(base::Errc::too_large, "the domain's XML is longer than " + std::to_string(kMaxXml));
    const Document document(xmlReadMemory(xml.data(), static_cast<int>(xml.size()), nullptr, nullptr, kParse),
                            &xmlFreeDoc);
    const xmlNode* root = document ? xmlDocGetRootElement(document.get()) : nullptr;
    if (root == nullptr || xmlGetIntSubset(document.get()) != nullptr || !is_element(*root, "domain"))
        return base::fail(base::Errc::malformed, "the domain's XML cannot be read: expected <domain> without a DTD");
    DomainPorts ports;
    const xmlNode* devices = child(*root, "devices");
    for (const xmlNode* node = devices == nullptr ? nullptr : devices->children; node != nullptr; node = node->next) {
        if (is_element(*node, "channel")) read_channel(*node, ports);
        ports.controller |= is_element(*node, "controller") && attribute(*node, "type") == "virtio-serial";
    }
    return ports;
}

std::string channel_xml(ChannelKind kind) {
    return "<channel type='unix'><source mode='bind'/><target type='virtio' name='" +
           std::string(wire::channel_name(kind)) + "'/></channel>";
}

}  // namespace vitalwire::host
