#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::test {

struct Certificate {
    std::string certificate;
    std::string key;
};

/// A certificate authority of one test, made with the openssl command.
class Authority {
public:
    explicit Authority(const TempDir& directory, std::string name = "ca")
        : directory_(directory), name_(std::move(name)) {
        openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=" + name_ +
                "' -keyout " + directory_ / (name_ + ".key") + " -out " + file());
    }

    std::string file() const { return directory_ / (name_ + ".pem"); }

    /// `names`: as openssl writes subject alternative names, "DNS:a,IP:127.0.0.1"; empty for a common name alone.
    Certificate issue(const std::string& common_name, const std::string& names = {}, int days = 2,
                      const std::string& use = {}) const {
        const std::string stem = directory_ / (name_ + '-' + common_name + '-' + std::to_string(++issued_));
        const std::string extension = names.empty() ? "" : " -addext 'subjectAltName=" + names + "'";
        const std::string usage = use.empty() ? "" : " -addext '" + use + "'";
        openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=" + common_name + "'" + extension +
                usage + " -keyout " + stem + ".key -out " + stem + ".csr");
        openssl("x509 -req -copy_extensions copy -in " + stem + ".csr -CA " + file() + " -CAkey " +
                directory_ / (name_ + ".key") + " -CAcreateserial -days " + std::to_string(days) + " -out " + stem +
                ".pem");
        return {stem + ".pem", stem + ".key"};
    }

    /// A revocation list with this one certificate.
    std::string revoke(const Certificate& certificate) const {
        const std::string stem = directory_ / (name_ + "-revoked");
        std::ofstream(stem + ".conf") << "[ca]\ndefault_ca = ours\n[ours]\ndatabase = " << stem
                                      << ".txt\ncertificate = " << file()
                                      << "\nprivate_key = " << directory_ / (name_ + ".key")
                                      << "\ndefault_md = sha256\n";
        std::ofstream(stem + ".txt").flush();
        openssl("ca -config " + stem + ".conf -revoke " + certificate.certificate);
        openssl("ca -config " + stem + ".conf -gencrl -crldays 2 -out " + stem + ".pem");
        return stem + ".pem";
    }

private:
    static void openssl(const std::string& arguments) {
        const std::string command = "openssl " + arguments + " 2>/dev/null";
        ASSERT_EQ(std::system(command.c_str()), 0) << command;  // NOLINT(concurrency-mt-unsafe)
    }

    const TempDir& directory_;
    std::string name_;
    mutable int issued_ = 0;
};

}  // namespace vitalwire::test
