# Language, warnings and sanitizers. Assertions stay on in every build, so NDEBUG is never set.
# The baseline is plain x86-64 (or aarch64): code that wants AVX2 says so at the function and asks the CPU.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

foreach(language C CXX)
  set(CMAKE_${language}_FLAGS_DEBUG "-O1 -g")
  set(CMAKE_${language}_FLAGS_RELEASE "-O3 -g")
endforeach()
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Debug)
endif()

add_library(weir_options INTERFACE)
target_compile_definitions(weir_options INTERFACE _GNU_SOURCE)
target_compile_options(weir_options INTERFACE
  -Werror -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wundef -Wformat=2
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
  -fno-omit-frame-pointer -fstack-protector-strong)
target_link_options(weir_options INTERFACE LINKER:-z,relro,-z,now,--as-needed)

if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT WEIR_SANITIZE)
  target_compile_options(weir_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

if(WEIR_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "WEIR_FUZZ needs clang; configure with CC=clang-14 CXX=clang++-14")
  endif()
  target_compile_options(weir_options INTERFACE
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  target_link_options(weir_options INTERFACE -fsanitize=address,undefined)
elseif(WEIR_SANITIZE)
  target_compile_options(weir_options INTERFACE -fsanitize=${WEIR_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(weir_options INTERFACE -fsanitize=${WEIR_SANITIZE})
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # With sanitizers gcc's flow analysis sees paths that cannot happen; the plain builds keep the warning.
    target_compile_options(weir_options INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()

if(WEIR_LTO)
  include(CheckIPOSupported)
  check_ipo_supported(RESULT weir_lto_works OUTPUT weir_lto_reason LANGUAGES C CXX)
  if(weir_lto_works)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
  else()
    message(STATUS "Building without link-time optimisation: this compiler or linker cannot do it")
  endif()
endif()
