# Every test is a ctest: one per cmocka file, one per pytest file, one per fuzz target's corpus.
# A part that is missing (the venv, a corpus) makes its test fail; nothing is skipped.

file(GLOB weir_unit_tests CONFIGURE_DEPENDS tests/unit/*_test.c)
foreach(source ${weir_unit_tests})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE weir_core weir_test_libraries)
  target_include_directories(${name} PRIVATE tests/unit)
  add_test(NAME unit/${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(unit/${name} PROPERTIES LABELS unit TIMEOUT 300)
endforeach()

file(GLOB weir_fuzz_targets CONFIGURE_DEPENDS fuzz/*_fuzz.c)
foreach(source ${weir_fuzz_targets})
  get_filename_component(target ${source} NAME_WE)
  string(REGEX REPLACE "_fuzz$" "" name ${target})
  set(corpus ${CMAKE_SOURCE_DIR}/fuzz/corpus/${name})
  if(WEIR_FUZZ)
    add_executable(${target} ${source})
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    add_test(NAME fuzz/${name} COMMAND ${target} -runs=0 ${corpus})
  else()
    add_executable(${target} ${source} fuzz/replay_main.c)
    add_test(NAME fuzz/${name} COMMAND ${target} ${corpus})
  endif()
  target_link_libraries(${target} PRIVATE weir_core)
  set_tests_properties(fuzz/${name} PROPERTIES LABELS fuzz TIMEOUT 300)
endforeach()

set(weir_test_environment "WEIR_BIN=${CMAKE_BINARY_DIR}/weir;WEIR_BUILD_DIR=${CMAKE_BINARY_DIR};WEIR_SANITIZE=${WEIR_SANITIZE}")
if(WEIR_SANITIZE)
  # Deadlines of the tests only; those of the product stay as they are.
  list(APPEND weir_test_environment "WEIR_TEST_PATIENCE=5")
endif()

set(weir_kafka_turn 0)
foreach(suite structure integration faults kafka browser)
  file(GLOB weir_pytest_files CONFIGURE_DEPENDS tests/${suite}/test_*.py)
  foreach(source ${weir_pytest_files})
    get_filename_component(name ${source} NAME_WE)
    string(REGEX REPLACE "^test_" "" name ${name})
    add_test(NAME ${suite}/${name}
             COMMAND ${WEIR_PYTHON} -m pytest -q ${source}
             WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${suite}/${name} PROPERTIES LABELS ${suite} TIMEOUT 900
                         ENVIRONMENT "${weir_test_environment}")
    if(suite STREQUAL "kafka")
      # Two brokers at a time: each takes a core while it starts, and half a GiB; then they mostly wait. The long runs take most of an hour.
      math(EXPR weir_kafka_turn "1 - ${weir_kafka_turn}")
      set_tests_properties(${suite}/${name} PROPERTIES RESOURCE_LOCK kafka_${weir_kafka_turn} TIMEOUT 3600
                           ENVIRONMENT_MODIFICATION "WEIR_TEST_PATIENCE=set:2")
    endif()
    if((suite STREQUAL "faults" OR suite STREQUAL "kafka") AND WEIR_SANITIZE)
      # ASan keeps freed memory for a while; these tests bound what the process holds.
      set_tests_properties(${suite}/${name} PROPERTIES
                           ENVIRONMENT_MODIFICATION "ASAN_OPTIONS=string_append::quarantine_size_mb=4;WEIR_TEST_PATIENCE=set:5")
    endif()
  endforeach()
endforeach()

file(GLOB weir_browser_tests CONFIGURE_DEPENDS tests/browser/*.test.js tests/browser/*.test.mjs)
foreach(source ${weir_browser_tests})
  get_filename_component(name ${source} NAME_WE)
  add_test(NAME browser/${name} COMMAND node --test ${source} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/tests/browser)
  # One at a time: a page drawn by a browser that waits for a core says nothing about the page.
  set_tests_properties(browser/${name} PROPERTIES LABELS browser TIMEOUT 300 RUN_SERIAL ON
                       ENVIRONMENT "${weir_test_environment}")
endforeach()
