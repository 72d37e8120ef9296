#include "controller/openstack/cloud_access.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CloudAccessTest : public ::testing::Test {
protected:
    CloudAccess read(const std::string& lines, const Environment& environment = {}) {
        errors.clear();
        const auto file = runtime::ConfigFile::parse("[openstack]\n" + lines, "c", errors);
        runtime::ConfigReader section(file, "openstack", errors);
        CloudAccess access = read_cloud_access(section, environment);
        section.finish();
        return access;
    }
    std::vector<std::string> mistakes() const {
        std::vector<std::string> lines;
        for (const auto& error : errors)
            lines.push_back(runtime::to_string(error));
        return lines;
    }
    std::string file(const std::string& name, const std::string& text) {
        std::ofstream(dir / name) << text;
        return dir / name;
    }

    test::TempDir dir;
    runtime::ConfigErrors errors;
    const Environment usual = {
        {"OS_AUTH_URL", "https://keystone:5000"},
        {"OS_USERNAME", "vitalwire"},
        {"OS_PASSWORD", "secret"},
        {"OS_PROJECT_NAME", "service"},
        {"OS_USER_DOMAIN_NAME", "Default"},
        {"OS_PROJECT_DOMAIN_ID", "default"},
        {"OS_REGION_NAME", "east"},
        {"OS_INTERFACE", "internal"},
        {"OS_CACERT", "/dev/null"},
    };
};

TEST_F(CloudAccessTest, ComesFromTheEnvironmentAsForTheOpenstackCommand) {
    const CloudAccess access = read("", usual);
    EXPECT_THAT(mistakes(), IsEmpty());
    EXPECT_EQ(access.auth_url, "https://keystone:5000/v3");
    EXPECT_EQ(access.user_name, "vitalwire");
    EXPECT_EQ(access.password, "secret");
    EXPECT_EQ(access.project_name, "service");
    EXPECT_EQ(access.user_domain_name, "Default");
    EXPECT_EQ(access.project_domain_id, "default");
    EXPECT_EQ(access.region, "east");
    EXPECT_EQ(access.interface, "internal");
    EXPECT_EQ(access.ca_file, "/dev/null");
    EXPECT_FALSE(access.insecure);
}

TEST_F(CloudAccessTest, ComesFromCloudsYamlAndItsSecureYaml) {
    const std::string clouds = file("clouds.yaml", R"(
clouds:
  site:
    auth:
      auth_url: https://keystone:5000/v3/
      application_credential_id: abc
    auth_type: v3applicationcredential
    region_name: west
    interface: admin
    verify: false
    compute_endpoint_override: https://nova/v2.1
  other: {}
)");
    file("secure.yaml", "clouds: {site: {auth: {application_credential_secret: s3cret}}}\n");
    const CloudAccess access = read("cloud = site\nclouds_file = " + clouds + "\n", usual);
    EXPECT_THAT(mistakes(), IsEmpty());
    EXPECT_EQ(access.auth_url, "https://keystone:5000/v3");
    EXPECT_EQ(access.application_credential_id, "abc");
    EXPECT_EQ(access.application_credential_secret, "s3cret");
    EXPECT_EQ(access.user_name, "") << "the environment is another way in";
    EXPECT_EQ(access.region, "west");
    EXPECT_TRUE(access.insecure);
    EXPECT_EQ(access.endpoints.at("compute"), "https://nova/v2.1");
}

TEST_F(CloudAccessTest, TheVariableNamesTheCloudAndItsFile) {
    const std::string clouds = file("mine.yaml",
                                    "clouds: {a: {auth: {auth_url: 'http://k/v3', username: u, password: p, "
                                    "project_name: x}}}\n");
    const CloudAccess access = read("", {{"OS_CLOUD", "a"}, {"OS_CLIENT_CONFIG_FILE", clouds}});
    EXPECT_THAT(mistakes(), IsEmpty());
    EXPECT_EQ(access.user_name, "u");
}

TEST_F(CloudAccessTest, KeysOfTheSectionGoFirst) {
    const std::string password = file("password", "from a file\n");
    const CloudAccess access = read("username = other\nregion_name = north\npassword_file = " + password +
                                        "\nendpoint = compute http://nova/\nendpoint = rca http://vitrage\n",
                                    usual);
    EXPECT_THAT(mistakes(), IsEmpty());
    EXPECT_EQ(access.user_name, "other");
    EXPECT_EQ(access.password, "from a file");
    EXPECT_EQ(access.region, "north");
    EXPECT_EQ(access.project_name, "service");
    EXPECT_EQ(access.endpoints.at("rca"), "http://vitrage");
}

TEST_F(CloudAccessTest, ReportsEverythingThatIsMissing) {
    read("auth_url = https://keystone\ninterface = outside\nendpoint = compute\n");
    EXPECT_THAT(mistakes(), ElementsAre(HasSubstr("endpoint: expected a type of service and a URL"),
                                        HasSubstr("interface: expected public, internal or admin"),
                                        HasSubstr("username: missing"), HasSubstr("project_name: missing")));
}

TEST_F(CloudAccessTest, ReportsWhichCloudIsNotThere) {
    const std::string clouds = file("clouds.yaml", "clouds: {a: {}}\n");
    read("cloud = b\nclouds_file = " + clouds + "\n");
    EXPECT_THAT(mistakes()[0], HasSubstr("clouds.yaml has no cloud 'b'"));
}

TEST_F(CloudAccessTest, ReportsWhereACloudsYamlIsBrokenAndRepeatsNothingOfIt) {
    const std::string clouds = file("clouds.yaml", "clouds:\n  a: {password: hush\n  b: ]\n");
    read("cloud = a\nclouds_file = " + clouds + "\n");
    EXPECT_THAT(mistakes()[0], HasSubstr("clouds.yaml:3: no valid clouds.yaml"));
    for (const std::string& mistake : mistakes())
        EXPECT_THAT(mistake, ::testing::Not(HasSubstr("hush")));
}

TEST_F(CloudAccessTest, ReportsThatACloudsYamlIsNotThere) {
    read("cloud = a\nclouds_file = /nonexistent/clouds.yaml\n");
    EXPECT_THAT(mistakes()[0], HasSubstr("/nonexistent/clouds.yaml cannot be read"));
}

}  // namespace
}  // namespace vitalwire::controller
