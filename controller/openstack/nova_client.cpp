#include "controller/openstack/nova_client.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::Errc;
using base::fail;
using base::Result;
using nlohmann::json;
using runtime::HttpClientRequest;
using runtime::HttpClientResponse;

namespace {

constexpr const char* kCompute = "compute";
/// Minor versions of 2.x: from the first one embeds the flavor's extra specs into the server; nothing after the second
/// was looked at.
constexpr int kOldest = 47;
constexpr int kNewest = 93;
/// Servers in one answer: some 500 KB, read in some ten milliseconds, in which the event loop does nothing else.
constexpr int kServersInPage = 200;
constexpr int kGroupsInPage = 200;
constexpr wire::JsonLimits kListLimits{32, 100'000};

Result<json> body_of(const Result<HttpClientResponse>& response) {
    if (!response) return tl::make_unexpected(response.error());
    if (response->status == 403) return fail(Errc::permission, "Nova: " + describe_answer(*response));
    if (response->status == 404) {
        // Nova that has no such thing, unlike a proxy that finds no Nova.
        const auto answer = wire::parse_object(response->body, kListLimits);
        const bool proof = answer && wire::find(*answer, "itemNotFound") != nullptr;
        return fail(proof ? Errc::not_found : Errc::unknown_address, "Nova: " + describe_answer(*response));
    }
    if (response->status == 406) return fail(Errc::unsupported_version, "Nova: " + describe_answer(*response));
    if (response->status < 200 || response->status >= 300)
        return fail(Errc::unavailable, "Nova: " + describe_answer(*response));
    auto body = wire::parse_object(response->body, kListLimits);
    if (!body) return fail(Errc::malformed, "Nova's answer: " + body.error().message);
    return body;
}

/// The newest minor version of 2.x that the version document names; 0: none.
int newest_minor(const json& document) {
    const json* version = wire::find(document, "version");
    if (version == nullptr) return 0;
    int minor = 0;
    const std::string text = wire::text_or(*version, "version");
    return std::sscanf(text.c_str(), "2.%5d", &minor) == 1 ? minor : 0;
}

/// The elements of a list, each as `read` reads it.
template <class T, class Read>
Result<void> read_list(const json& body, const char* key, Read read, std::vector<T>& into) {
    const json* list = wire::find(body, key);
    if (list == nullptr || !list->is_array())
        return fail(Errc::malformed, std::string("Nova's answer: expected a list '") + key + "'");
    for (const json& element : *list) {
        if (auto problem = read(element, into); !problem) return problem;
    }
    return {};
}

Result<void> add_server(const json& element, std::vector<NovaServer>& servers) {
    auto server = read_server(element);
    if (!server) return tl::make_unexpected(server.error());
    if (*server) servers.push_back(std::move(**server));
    return {};
}

Result<void> add_group(const json& element, std::vector<NovaGroup>& groups) {
    auto group = read_group(element);
    if (!group) return tl::make_unexpected(group.error());
    groups.push_back(std::move(*group));
    return {};
}

/// The query of the link to the next page; its host may be one that only Nova can resolve.
std::string next_query(const json& body) {
    const json* links = wire::find(body, "servers_links");
    if (links == nullptr || !links->is_array()) return {};
    for (const json& link : *links) {
        const std::string href = wire::text_or(link, "href");
        const std::size_t query = href.find('?');
        if (wire::text_or(link, "rel") == "next" && query != std::string::npos) return href.substr(query);
    }
    return {};
}

}  // namespace

class NovaClient::Impl : public std::enable_shared_from_this<Impl> {
public:
    using Got = std::function<void(Result<json>)>;

    explicit Impl(Keystone& keystone) : keystone_(keystone) {}

    void list_servers(const std::string& changed_since, Page<Servers> page, Done<void> done) {
        std::string query = "?all_tenants=1&limit=" + std::to_string(kServersInPage);
        if (!changed_since.empty()) query += "&changes-since=" + changed_since;
        next_servers(query, std::move(page), std::move(done));
    }

    void list_groups(Page<Groups> page, Done<void> done) { next_groups(0, std::move(page), std::move(done)); }

    void get_server(const base::GuestId& server, Done<std::optional<NovaServer>> done) {
        get("/servers/" + server.str(), [done = std::move(done)](const Result<json>& body) {
            if (!body && body.error().code == Errc::not_found) return done(std::optional<NovaServer>());
            if (!body) return done(tl::make_unexpected(body.error()));
            const json* found = wire::find(*body, "server");
            auto read = read_server(found == nullptr ? json() : *found);
            if (read && !*read) return done(fail(Errc::unavailable, "Nova: the server's cell is down"));
            done(std::move(read));
        });
    }

    void get_group(const base::GroupId& group, Done<std::optional<NovaGroup>> done) {
        get("/os-server-groups/" + group.str(), [done = std::move(done)](const Result<json>& body) {
            if (!body && body.error().code == Errc::not_found) return done(std::optional<NovaGroup>());
            if (!body) return done(tl::make_unexpected(body.error()));
            const json* found = wire::find(*body, "server_group");
            auto read = read_group(found == nullptr ? json() : *found);
            if (!read) return done(tl::make_unexpected(read.error()));
            done(std::optional(std::move(*read)));
        });
    }

    void stop() { stopped_ = true; }

private:
    void next_servers(const std::string& query, Page<Servers> page, Done<void> done) {
        get("/servers/detail" + query, [self = shared_from_this(), query, page = std::move(page),
                                        done = std::move(done)](const Result<json>& body) mutable {
            if (!body) return done(tl::make_unexpected(body.error()));
            Servers servers;
            if (auto read = read_list(*body, "servers", add_server, servers); !read)
                return done(tl::make_unexpected(read.error()));
            page(servers);
            const std::string next = next_query(*body);
            if (next.empty() || next == query) return done({});
            self->next_servers(next, std::move(page), std::move(done));
        });
    }

    /// Nova pages groups by offset and marks nowhere that there are more; its own limit may be below ours. One that is
    /// deleted between two pages shifts the others: what a listing lacks is no proof (get_group).
    void next_groups(std::size_t before, Page<Groups> page, Done<void> done) {
        get("/os-server-groups?all_projects=1&limit=" + std::to_string(kGroupsInPage) +
                "&offset=" + std::to_string(before),
            [self = shared_from_this(), before, page = std::move(page),
             done = std::move(done)](const Result<json>& body) mutable {
                if (!body) return done(tl::make_unexpected(body.error()));
                Groups groups;
                if (auto read = read_list(*body, "server_groups", add_group, groups); !read)
                    return done(tl::make_unexpected(read.error()));
                if (groups.empty()) return done({});
                page(groups);
                self->next_groups(before + groups.size(), std::move(page), std::move(done));
            });
    }

    void get(const std::string& path, Got got) {
        if (minor_ == 0) return negotiate(path, std::move(got));
        ask(path, minor_, [self = shared_from_this(), got = std::move(got)](Result<json> body) {
            // Nova was exchanged for another one: agreed on again with the next call.
            if (!body && body.error().code == Errc::unsupported_version) self->minor_ = 0;
            got(std::move(body));
        });
    }

    void negotiate(const std::string& path, Got got) {
        ask("/", 0, [self = shared_from_this(), path, got = std::move(got)](const Result<json>& body) mutable {
            // Where the endpoint holds a project's id there is no such document; a refusal will name what is wrong.
            const bool no_document =
                !body && (body.error().code == Errc::not_found || body.error().code == Errc::unknown_address);
            if (!body && !no_document) return got(tl::make_unexpected(body.error()));
            const int newest = no_document ? kOldest : newest_minor(*body);
            if (newest < kOldest)
                return got(fail(Errc::unsupported_version, "Nova's API is 2." + std::to_string(newest) +
                                                               ", expected 2." + std::to_string(kOldest) +
                                                               " or newer"));
            self->minor_ = std::min(newest, kNewest);
            self->get(path, std::move(got));
        });
    }

    void ask(const std::string& path, int minor, Got got) {
        HttpClientRequest request;
        request.url = path;
        if (minor > 0) request.headers["OpenStack-API-Version"] = "compute 2." + std::to_string(minor);
        keystone_.call(kCompute, std::move(request),
                       [self = shared_from_this(), got = std::move(got)](const Result<HttpClientResponse>& response) {
                           if (!self->stopped_) got(body_of(response));
                       });
    }

    Keystone& keystone_;
    int minor_ = 0;  ///< agreed on; 0: not yet
    bool stopped_ = false;
};

NovaClient::NovaClient(Keystone& keystone) : impl_(std::make_shared<Impl>(keystone)) {}

NovaClient::~NovaClient() {
    impl_->stop();
}

void NovaClient::list_servers(const std::string& changed_since, Page<Servers> page, Done<void> done) {
    impl_->list_servers(changed_since, std::move(page), std::move(done));
}

void NovaClient::list_groups(Page<Groups> page, Done<void> done) {
    impl_->list_groups(std::move(page), std::move(done));
}

void NovaClient::get_group(const base::GroupId& group, Done<std::optional<NovaGroup>> done) {
    impl_->get_group(group, std::move(done));
}

void NovaClient::get_server(const base::GuestId& server, Done<std::optional<NovaServer>> done) {
    impl_->get_server(server, std::move(done));
}

}  // namespace vitalwire::controller
