# What is installed with paths inside: filled in by `cmake --install`, so that any --prefix works.

# vw_install_template(TEMPLATE DESTINATION COMPONENT): installs TEMPLATE without its ".in", with @PREFIX@, @SBINDIR@,
# @LIBDIR@, @INCLUDEDIR@, @SYSCONFDIR@ and @VERSION@ replaced.
function(vw_install_template template destination component)
  get_filename_component(template ${template} ABSOLUTE)
  get_filename_component(name ${template} NAME_WLE)
  install(CODE "
    set(PREFIX \"\${CMAKE_INSTALL_PREFIX}\")
    set(VERSION \"${PROJECT_VERSION}\")
    set(SBINDIR \"\${PREFIX}/${CMAKE_INSTALL_SBINDIR}\")
    set(LIBDIR \"\${PREFIX}/${CMAKE_INSTALL_LIBDIR}\")
    set(INCLUDEDIR \"\${PREFIX}/${CMAKE_INSTALL_INCLUDEDIR}\")
    include(\"${PROJECT_SOURCE_DIR}/cmake/SysconfDir.cmake\")
    vw_sysconf_dir(SYSCONFDIR \"\${PREFIX}\" \"${CMAKE_INSTALL_SYSCONFDIR}\")
    configure_file(\"${template}\" \"${CMAKE_CURRENT_BINARY_DIR}/${name}\" @ONLY)
    file(INSTALL \"${CMAKE_CURRENT_BINARY_DIR}/${name}\" DESTINATION \"\${PREFIX}/${destination}\")"
    COMPONENT ${component})
endfunction()

# vw_install_unit(TEMPLATE COMPONENT): a systemd unit.
function(vw_install_unit template component)
  vw_install_template(${template} lib/systemd/system ${component})
endfunction()

# vw_install_users(PROGRAM): the user that the unit of PROGRAM (agent, controller) runs as, and where its sockets are.
function(vw_install_users program)
  install(FILES ${CMAKE_SOURCE_DIR}/systemd/vitalwire-sysusers-${program}.conf DESTINATION lib/sysusers.d
          RENAME vitalwire-${program}.conf COMPONENT ${program})
  install(FILES ${CMAKE_SOURCE_DIR}/systemd/vitalwire-tmpfiles.conf DESTINATION lib/tmpfiles.d
          RENAME vitalwire-${program}.conf COMPONENT ${program})
endfunction()

# vw_install_config(FILE COMPONENT): a default configuration file; one that is there already stays.
function(vw_install_config file component)
  get_filename_component(file ${file} ABSOLUTE)
  get_filename_component(name ${file} NAME)
  install(CODE "
    include(\"${PROJECT_SOURCE_DIR}/cmake/SysconfDir.cmake\")
    vw_sysconf_dir(directory \"\${CMAKE_INSTALL_PREFIX}\" \"${CMAKE_INSTALL_SYSCONFDIR}\")
    if(EXISTS \"\$ENV{DESTDIR}\${directory}/vitalwire/${name}\")
      message(STATUS \"Keeping: \$ENV{DESTDIR}\${directory}/vitalwire/${name}\")
    else()
      file(INSTALL \"${file}\" DESTINATION \"\${directory}/vitalwire\")
    endif()" COMPONENT ${component})
endfunction()

# vw_check_component_at_install(): makes `cmake --install --component NAME` fail for a name that is none. Called when all
# components are known.
function(vw_check_component_at_install)
  get_cmake_property(components COMPONENTS)
  list(REMOVE_ITEM components Unspecified)
  install(CODE "
    set(known ${components})
    list(FIND known \"\${CMAKE_INSTALL_COMPONENT}\" index)
    if(CMAKE_INSTALL_COMPONENT AND index EQUAL -1)
      list(JOIN known \", \" known)
      message(FATAL_ERROR \"no such component: '\${CMAKE_INSTALL_COMPONENT}'; expected one of \${known}\")
    endif()" ALL_COMPONENTS)
endfunction()
