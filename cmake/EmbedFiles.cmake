# Files that are part of a program.
#
# vw_embed_files(OUTPUT FOLDER NAMES...): makes a source file with what controller/http/web_pages.hpp declares. Run as a
# script (-DOUTPUT= -DFOLDER= -DNAMES=) it is what writes that file, at build time.
if(CMAKE_SCRIPT_MODE_FILE)
  set(arrays "")
  set(entries "")
  set(number 0)
  string(REPLACE "," ";" NAMES "${NAMES}")
  foreach(name ${NAMES})
    file(READ ${FOLDER}/${name} bytes HEX)
    string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
    string(APPEND arrays "constexpr char k${number}[] = {${bytes}};\n")
    string(APPEND entries "        {\"${name}\", {k${number}, sizeof k${number}}},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  file(WRITE ${OUTPUT} "#include \"controller/http/web_pages.hpp\"

namespace vitalwire::controller {

namespace {
${arrays}}  // namespace

const std::vector<WebFile>& web_files() {
    static const std::vector<WebFile> kFiles = {
${entries}    };
    return kFiles;
}

}  // namespace vitalwire::controller
")
  return()
endif()

set(VITALWIRE_EMBED_FILES ${CMAKE_CURRENT_LIST_FILE})
function(vw_embed_files output folder)
  list(TRANSFORM ARGN PREPEND ${folder}/ OUTPUT_VARIABLE paths)
  list(JOIN ARGN "," names)
  add_custom_command(OUTPUT ${output} DEPENDS ${paths} ${VITALWIRE_EMBED_FILES}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DFOLDER=${folder} "-DNAMES=${names}" -P ${VITALWIRE_EMBED_FILES}
    VERBATIM)
endfunction()
