# The Kafka client, built statically from the pinned source that ./dev fetches (2.15.1; Debian's 2.0.2 loses offsets around
# pause and resume). All presets share one build, but for ThreadSanitizer, which has to see every lock of it.
# With -DWEIR_RDKAFKA=system the installed library is used, from version 2.13 on.
set(WEIR_RDKAFKA "pinned" CACHE STRING "Kafka client library: pinned (built from source) or system")

find_package(PkgConfig REQUIRED)
if(WEIR_RDKAFKA STREQUAL "system")
  pkg_check_modules(WEIR_SYSTEM_RDKAFKA REQUIRED IMPORTED_TARGET rdkafka>=2.13)
  target_link_libraries(weir_libraries INTERFACE PkgConfig::WEIR_SYSTEM_RDKAFKA)
  return()
endif()

include(ExternalProject)
include(ProcessorCount)
ProcessorCount(weir_processors)

set(weir_rdkafka_source ${CMAKE_SOURCE_DIR}/build/librdkafka/source)
if(NOT EXISTS ${weir_rdkafka_source}/configure)
  message(FATAL_ERROR "the source of librdkafka is not in ${weir_rdkafka_source}: run ./dev build once, which fetches it")
endif()
set(weir_rdkafka_variant plain)
set(weir_rdkafka_flags -fPIC)
set(weir_rdkafka_options "")
if(WEIR_SANITIZE MATCHES "thread")
  set(weir_rdkafka_variant thread)
  set(weir_rdkafka_flags "-fPIC -fsanitize=thread")
  set(weir_rdkafka_options --disable-c11threads) # ThreadSanitizer knows pthread_create, not thrd_create
endif()
set(weir_rdkafka ${CMAKE_SOURCE_DIR}/build/librdkafka/${weir_rdkafka_variant})

ExternalProject_Add(librdkafka
  PREFIX ${weir_rdkafka}/project
  SOURCE_DIR ${weir_rdkafka}/tree
  DOWNLOAD_COMMAND ${CMAKE_COMMAND} -E copy_directory ${weir_rdkafka_source} ${weir_rdkafka}/tree
  CONFIGURE_COMMAND ./configure --cc=gcc --enable-static --disable-debug-symbols --disable-gssapi --disable-lz4-ext
                    --no-download ${weir_rdkafka_options} "--CFLAGS=${weir_rdkafka_flags}" "--LDFLAGS=${weir_rdkafka_flags}"
  BUILD_COMMAND make -j${weir_processors} -C src librdkafka.a
  INSTALL_COMMAND ${CMAKE_COMMAND} -E make_directory ${weir_rdkafka}/include/librdkafka
          COMMAND ${CMAKE_COMMAND} -E copy ${weir_rdkafka}/tree/src/rdkafka.h ${weir_rdkafka}/tree/src/rdkafka_mock.h
                  ${weir_rdkafka}/include/librdkafka
  BUILD_IN_SOURCE 1
  BUILD_BYPRODUCTS ${weir_rdkafka}/tree/src/librdkafka.a
  LOG_CONFIGURE 1 LOG_BUILD 1 LOG_OUTPUT_ON_FAILURE 1)
file(MAKE_DIRECTORY ${weir_rdkafka}/include)

pkg_check_modules(WEIR_RDKAFKA_NEEDS REQUIRED IMPORTED_TARGET libssl libcrypto zlib libzstd libcurl)
add_library(weir_rdkafka STATIC IMPORTED)
add_dependencies(weir_rdkafka librdkafka)
set_target_properties(weir_rdkafka PROPERTIES
  IMPORTED_LOCATION ${weir_rdkafka}/tree/src/librdkafka.a
  INTERFACE_INCLUDE_DIRECTORIES ${weir_rdkafka}/include
  INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${weir_rdkafka}/include
  INTERFACE_LINK_LIBRARIES "PkgConfig::WEIR_RDKAFKA_NEEDS;Threads::Threads;m;dl;rt")
target_link_libraries(weir_libraries INTERFACE weir_rdkafka)
