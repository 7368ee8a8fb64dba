# `cpack -G DEB` in the build folder makes the Debian package. Library dependencies are found by dpkg-shlibdeps.

install(TARGETS pointsman RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES templates/pg_backends.cfg.mustache haproxy/hold.lua DESTINATION share/pointsman)
install(PROGRAMS packaging/patroni_before_stop.sh DESTINATION share/pointsman)
install(FILES templates/haproxy.cfg packaging/pointsman.yml packaging/cron.example packaging/status.md packaging/journal.md packaging/security.md README.md
        DESTINATION share/doc/pointsman)
install(FILES packaging/pointsman.service packaging/pointsman-once.service packaging/pointsman.timer
        DESTINATION lib/systemd/system)
install(FILES packaging/pointsman.yml DESTINATION /etc/pointsman)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME pointsman)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The pointsman developers <pointsman@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_STRIP_FILES ON)
set(CPACK_SET_DESTDIR ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "passwd, procps")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "haproxy (>= 2.6), curl")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${PROJECT_SOURCE_DIR}/packaging/postinst;${PROJECT_SOURCE_DIR}/packaging/prerm;${PROJECT_SOURCE_DIR}/packaging/postrm;${PROJECT_SOURCE_DIR}/packaging/conffiles)
include(CPack)
