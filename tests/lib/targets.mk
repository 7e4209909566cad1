# The other targets of the Makefile: tests, gates, benchmarks, fuzzing, packaging.

.PHONY: help clean
help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile
clean:
	rm -rf build
