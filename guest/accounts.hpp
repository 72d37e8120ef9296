#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace vitalwire::guest {

// Of the local files only: what a name service elsewhere knows cannot be had from a program without dynamic libraries.

struct Account {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;  ///< all of them
};
std::optional<Account> find_user(const std::string& name);
std::optional<gid_t> find_group(const std::string& name);

}  // namespace vitalwire::guest
