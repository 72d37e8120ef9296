#include "guest/accounts.hpp"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <memory>
#include <system_error>

namespace vitalwire::guest {

namespace {

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

/// Calls `look` for each local group until it returns true. Only this thread reads the file.
void each_group(const std::function<bool(const ::group&)>& look) {
    const File file(std::fopen("/etc/group", "re"), std::fclose);
    if (!file) return;
    while (const ::group* entry = ::fgetgrent(file.get())) {  // NOLINT(concurrency-mt-unsafe)
        if (look(*entry)) return;
    }
}

bool has_member(const ::group& group, const std::string& name) {
    for (char** member = group.gr_mem; *member != nullptr; ++member) {
        if (name == *member) return true;
    }
    return false;
}

std::optional<gid_t> find_group(const std::string& name) {
    std::optional<gid_t> found;
    each_group([&](const ::group& group) {
        if (name == group.gr_name) found = group.gr_gid;
        return found.has_value();
    });
    return found;
}

}  // namespace

bool is_group(const std::string& name) {
    return find_group(name).has_value();
}

base::Result<void> give_to_group(const std::string& path, const std::string& name) {
    if (name.empty()) return {};
    const auto found = find_group(name);
    if (!found) return base::fail(base::Errc::config, "there is no local group '" + name + "'");
    if (::chown(path.c_str(), static_cast<uid_t>(-1), *found) == 0) return {};
    return base::fail(base::Errc::io,
                      "cannot give " + path + " to group '" + name + "': " + std::generic_category().message(errno));
}

std::optional<Account> find_user(const std::string& name) {
    const File file(std::fopen("/etc/passwd", "re"), std::fclose);
    if (!file) return std::nullopt;
    while (const ::passwd* entry = ::fgetpwent(file.get())) {  // NOLINT(concurrency-mt-unsafe)
        if (name != entry->pw_name) continue;
        Account account{entry->pw_uid, entry->pw_gid, {entry->pw_gid}, entry->pw_name, entry->pw_dir, entry->pw_shell};
        each_group([&](const ::group& group) {
            if (group.gr_gid != account.gid && has_member(group, name)) account.groups.push_back(group.gr_gid);
            return false;
        });
        return account;
    }
    return std::nullopt;
}

void Accounts::read(const std::vector<std::string>& users) {
    known_.clear();
    for (const std::string& user : users)
        find(user);
}

std::optional<Account> Accounts::find(const std::string& user) {
    const auto known = known_.find(user);
    if (known != known_.end()) return known->second;
    auto found = find_user(user);
    if (found) known_.emplace(user, *found);
    return found;
}

}  // namespace vitalwire::guest
