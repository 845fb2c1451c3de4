# The page is part of the binary: tools/embed_assets.py turns web/ into one generated C file.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
file(GLOB_RECURSE weir_web_files CONFIGURE_DEPENDS
     web/*.html web/*.css web/*.js web/*.svg web/assets.txt)
list(FILTER weir_web_files EXCLUDE REGEX "/node_modules/")

set(WEIR_WEB_ASSETS_C ${CMAKE_BINARY_DIR}/generated/web_assets.c)
add_custom_command(
  OUTPUT ${WEIR_WEB_ASSETS_C}
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/embed_assets.py
          ${CMAKE_SOURCE_DIR}/web ${WEIR_WEB_ASSETS_C}
  DEPENDS ${CMAKE_SOURCE_DIR}/tools/embed_assets.py ${weir_web_files}
  COMMENT "Embedding the page" VERBATIM)
