#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace vitalwire::guest {

// Of the local files only: what a name service elsewhere knows cannot be had from a program without dynamic libraries.

struct Account {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;  ///< all of them
    std::string name;
    std::string home;
    std::string shell;
};
std::optional<Account> find_user(const std::string& name);

/// Those that commands run as. They are read with the configuration and not at each run, when the disk may stand still;
/// only one that was not there is looked for again.
class Accounts {
public:
    void read(const std::vector<std::string>& users);
    std::optional<Account> find(const std::string& user);

private:
    std::map<std::string, Account> known_;
};

bool is_group(const std::string& name);
/// Makes a local group the owner of the file at `path`; an empty name changes nothing.
base::Result<void> give_to_group(const std::string& path, const std::string& name);

}  // namespace vitalwire::guest
