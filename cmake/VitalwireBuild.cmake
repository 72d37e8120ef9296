# How every target of the suite is compiled: language, warnings, hardening, sanitizers.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

set(VITALWIRE_SANITIZE "" CACHE STRING "Comma-separated sanitizers, for example address,undefined or thread")

find_program(VITALWIRE_CCACHE ccache)
if(VITALWIRE_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${VITALWIRE_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${VITALWIRE_CCACHE})
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
# What GCC 12 concludes from the flow of optimised code is wrong now and then about std::string and std::optional
# (GCC bug 105651): it is printed, and does not end the build.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-error=restrict -Wno-error=maybe-uninitialized -Wno-error=array-bounds
    -Wno-error=stringop-overflow -Wno-error=stringop-overread)
endif()
# Every member of our structs has a default, so leaving the last ones out is safe and reads well.
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor;-Woverloaded-virtual;-Wno-missing-field-initializers>")
# Debug information of Asio and JSON templates is most of the build's disk and link time: line tables are enough.
add_compile_options($<$<CONFIG:RelWithDebInfo>:-g1>)

# What a program does not use is left out of it: the guest's daemon pays for every page.
add_compile_options(-ffunction-sections -fdata-sections)
add_link_options(-Wl,--gc-sections)

if(VITALWIRE_SANITIZE)
  add_compile_options(-fsanitize=${VITALWIRE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1 -O1)
  add_link_options(-fsanitize=${VITALWIRE_SANITIZE})
  if(VITALWIRE_SANITIZE MATCHES "thread")
    # TSan does not know the fences that Asio puts around handlers, and GCC refuses them.
    add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
else()
  add_compile_options(-fstack-protector-strong -fstack-clash-protection $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
  add_link_options(-Wl,-z,relro,-z,now -Wl,--as-needed)
endif()

find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(tl-expected REQUIRED)

# Boost.Asio as every target uses it.
add_library(vw_asio INTERFACE)
target_link_libraries(vw_asio INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(vw_asio INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_COROUTINE)

# vw_library(NAME SOURCES... ) makes a static library of one folder with the two include roots of the tree.
function(vw_library name)
  add_library(${name} STATIC ${ARGN})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR})
endfunction()
