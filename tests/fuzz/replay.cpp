// Runs a fuzz target without a fuzzer: replay [--mutations N] FILE-OR-DIRECTORY...
// Every input once, then N mutations of them. The mutations are the same at every run, so a failure repeats.
#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fuzz.hpp"

namespace {

constexpr std::size_t kMaxInput = 16384;
constexpr const char* kCrashFile = "fuzz-failure.bin";

const std::string* current = nullptr;

/// Keeps the input that brought the program down. Only what is allowed in a signal's handler.
void keep_input(int signal) {
    const int file = ::open(kCrashFile, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file >= 0 && current != nullptr && ::write(file, current->data(), current->size()) >= 0) {
        constexpr char kHint[] = "the input is in fuzz-failure.bin of the working directory\n";
        static_cast<void>(!::write(STDERR_FILENO, kHint, sizeof kHint - 1));
    }
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

void run(const std::string& input) {
    current = &input;
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
    current = nullptr;
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// In the order of their names: the mutations depend on it.
std::vector<std::string> read_inputs(const std::vector<std::string>& places) {
    std::vector<std::filesystem::path> paths;
    for (const std::string& place : places) {
        if (!std::filesystem::is_directory(place)) {
            paths.emplace_back(place);
            continue;
        }
        for (const auto& entry : std::filesystem::recursive_directory_iterator(place)) {
            if (entry.is_regular_file()) paths.push_back(entry.path());
        }
    }
    std::sort(paths.begin(), paths.end());
    std::vector<std::string> inputs;
    for (const auto& path : paths)
        inputs.push_back(read_file(path));
    return inputs;
}

class Mutator {
public:
    explicit Mutator(std::vector<std::string> inputs) : inputs_(std::move(inputs)) { inputs_.emplace_back(); }

    std::string next() {
        std::string text = random_input();
        for (std::size_t changes = 1 + below(4); changes > 0; --changes)
            change(text);
        text.resize(std::min(text.size(), kMaxInput));
        return text;
    }

private:
    std::size_t below(std::size_t bound) { return random_() % bound; }
    const std::string& random_input() { return inputs_[below(inputs_.size())]; }
    char random_char() { return static_cast<char>(below(256)); }

    void change(std::string& text) {
        const std::size_t at = below(text.size() + 1);
        const std::size_t some = 1 + below(16);
        switch (below(8)) {
            case 0:  // another byte
                if (at < text.size()) text[at] = random_char();
                break;
            case 1:  // another bit
                if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
                break;
            case 2:
                text.erase(at, some);
                break;
            case 3:
                text.insert(at, some, random_char());
                break;
            case 4:  // repeat a part
                text.insert(at, text.substr(below(text.size() + 1), some * some));
                break;
            case 5: {  // a part of another input
                const std::string& other = random_input();
                text.insert(at, other.substr(below(other.size() + 1), some * some));
                break;
            }
            case 6:
                text.insert(at, kTokens[below(std::size(kTokens))]);
                break;
            default:  // noise
                for (std::size_t count = some * 4; count > 0; --count)
                    text.push_back(random_char());
        }
    }

    static constexpr const char* kTokens[] = {
        "\n",   "\r\n", "{",          "}",        "[",    "]",  "\"", "\\u0000", "\\ud800", "1e400", "-1", "0", "null",
        "true", "1.0",  "2147483648", "\xff\xfe", "\xc3", "\t", ",",  ":",       "%00",     "%zz",   "=",  "&"};

    std::vector<std::string> inputs_;
    std::mt19937 random_{1};
};

}  // namespace

int main(int argc, char** argv) {
    std::size_t mutations = 0;
    std::vector<std::string> places;
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--mutations") == 0 && i + 1 < argc) {
            mutations = std::stoul(argv[++i]);
        } else {
            places.emplace_back(argv[i]);
        }
    }
    for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL})
        std::signal(signal, keep_input);

    const std::vector<std::string> inputs = read_inputs(places);
    for (const std::string& input : inputs)
        run(input);
    Mutator mutator(inputs);
    for (std::size_t count = 0; count < mutations; ++count)
        run(mutator.next());
    std::printf("%zu inputs and %zu mutations\n", inputs.size(), mutations);
}
