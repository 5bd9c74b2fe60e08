#!/bin/bash
# Builds the 32-bit guest into .cache/guests/boot32/boot32.elf (binutils only).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

output=.cache/guests/boot32
source=guest/boot32/boot32.s
if [ "$output/boot32.elf" -nt "$source" ] && [ "$output/boot32.elf" -nt "$0" ]; then
  exit 0
fi
mkdir -p "$output"
as --32 -o "$output/boot32.o" "$source"
# The multiboot header must lie within the first 8 KiB of the file: no alignment to pages in it.
ld -m elf_i386 -n --no-warn-rwx-segments -Ttext 0x100000 --build-id=none -o "$output/boot32.new" "$output/boot32.o"
rm "$output/boot32.o"
mv "$output/boot32.new" "$output/boot32.elf"
