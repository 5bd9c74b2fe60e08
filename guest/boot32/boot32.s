# A guest that never leaves 32-bit protected mode, so that it runs under every KVM, nested and para-virtual ones included.
# QEMU boots it with -kernel (multiboot 1; quickest with -bios qboot.rom) and gives it the words of -append:
#
#   pages=N    pages rewritten in each round (default 256)
#   mib=N      the RAM over which they are spread evenly, from 4 MiB on (default: no gaps)
#   words=N    32-bit words written at the start of each page, up to 1024 (default 1)
#   pace=N     milliseconds between two rounds (default 0: without end and without rest)
#   spin=N     instead of pace: thousands (1,024) of the processor's cycles from one round's end to the next one's, spent waiting for them. Such a guest is always
#              busy, needs no timer, and makes up for nothing: held back by a half it does half as much
#   slice=N    a round rewrites the next N pages of the mib, and the next round goes on behind them, round and round; instead of pages and words
#   other=N    pages of every other spell of rounds (default: as slice)
#   every=N    rounds in a spell (default 0: no spells)
#   fill=N     MiB, from 4 MiB on, of which each page is written once at the start, so that it is not zero
#
# RAM must reach beyond 4 MiB + mib (or pages, or fill). Every word written is the round's number plus the page's address: a page that is missed or stale shows. At 2 MiB stands what a
# reader of the RAM finds the guest by: the bytes "BOOT32\0\0", then the number of rounds that are finished (le32).
# On COM1 it says "boot32" once, then a dot every 1024 rounds, so that an observer sees it live.
.set MARK, 0x200000
.set BASE, 0x400000
.set COM1, 0x3f8
.set TICKS_PER_SECOND, 1000

.section .text
.code32

# Multiboot header: magic, flags (1: memory sizes wanted), checksum.
.align 4
.long 0x1badb002, 2, -(0x1badb002 + 2)

.globl _start
_start:
  cli
  cld
  movl $stack, %esp
  movl %ebx, information
  lgdt gdt_register
  ljmp $8, $1f
1: movw $16, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  call read_command_line
  call start_clock
  movl fill, %ecx
  shll $8, %ecx               # in pages
  jz 2f
  movl $BASE, %esi
1: movl %esi, (%esi)
  addl $4096, %esi
  loop 1b
2: movl $greeting, %esi
  call say
  movl $0x544f4f42, MARK      # "BOOT"
  movl $0x00003233, MARK + 4  # "32"
  movl $0, MARK + 8

round:
  movl MARK + 8, %ebx
  incl %ebx                   # the round
  cmpl $0, slice
  jne sliced
  movl pages, %ecx
  testl %ecx, %ecx
  jz round_done
  movl stride, %edi
  cmpl $1, words
  jne several_words
# Where KVM emulates each instruction of such a guest, their number is its speed: esi is both the value and, less the round, the address.
  leal BASE(%ebx), %esi
  movl %ebx, %ebp
  negl %ebp
1: movl %esi, (%esi, %ebp)
  addl %edi, %esi
  loop 1b
round_done:
  movl %ebx, MARK + 8
  testl $1023, %ebx
  jnz 3f
  movb $'.', %al
  call put
3: movl spin, %ecx
  testl %ecx, %ecx
  jz 7f
  shll $10, %ecx
6: rdtsc                      # the low half will do: it is compared with what it was
  subl since, %eax
  cmpl %ecx, %eax
  jb 6b
  addl %eax, since
  jmp round
7: movl pace, %ecx
  testl %ecx, %ecx
  jz round
  addl ticks, %ecx
4: sti
5: hlt
  jmp 5b
woken:                        # with interrupts off again
  movl ticks, %eax
  subl %ecx, %eax
  js 4b
  jmp round

sliced:
  movl slice, %ecx
  movl every, %edx
  testl %edx, %edx
  jz 1f
  movl %ebx, %eax
  xorl %edx, %edx
  divl every
  testl $1, %eax
  jz 1f
  movl other, %ecx
1: testl %ecx, %ecx
  jz round_done
  movl limit, %edx
  subl next, %edx
  shrl $12, %edx              # pages before it begins anew
  cmpl %ecx, %edx
  jbe 2f
  movl %ecx, %edx
2: subl %edx, %ecx
  pushl %ecx
  movl %edx, %ecx
  movl next, %esi
  addl %ebx, %esi             # as above
  movl %ebx, %ebp
  negl %ebp
3: movl %esi, (%esi, %ebp)
  addl $4096, %esi
  loop 3b
  addl %ebp, %esi
  cmpl limit, %esi
  jb 4f
  movl $BASE, %esi
4: movl %esi, next
  popl %ecx
  jmp 1b

several_words:
  movl $BASE, %esi
  movl %ecx, %edx
1: movl %esi, %edi
  leal (%esi, %ebx), %eax
  movl words, %ecx
  rep stosl
  addl stride, %esi
  decl %edx
  jnz 1b
  jmp round_done

# Takes all numbers from the command line; works out the stride and the limit.
read_command_line:
  movl information, %eax
  testl $4, (%eax)            # flag 2: there is a command line
  jz 1f
  movl $name_pages, %edx
  movl $pages, %edi
  call read_number
  movl $name_mib, %edx
  movl $mib, %edi
  call read_number
  movl $name_words, %edx
  movl $words, %edi
  call read_number
  movl $name_pace, %edx
  movl $pace, %edi
  call read_number
  movl $name_spin, %edx
  movl $spin, %edi
  call read_number
  movl $name_slice, %edx
  movl $slice, %edi
  call read_number
  movl slice, %eax
  movl %eax, other
  movl $name_other, %edx
  movl $other, %edi
  call read_number
  movl $name_every, %edx
  movl $every, %edi
  call read_number
  movl $name_fill, %edx
  movl $fill, %edi
  call read_number
1: cmpl $1024, words
  jbe 2f                      # zero writes nothing
  movl $1024, words
2: movl mib, %eax
  testl %eax, %eax
  jnz 5f
  movl %eax, slice            # nothing to go round in
5: shll $20, %eax
  addl $BASE, %eax
  movl %eax, limit
  movl mib, %eax
  shll $8, %eax               # in pages
  xorl %edx, %edx
  movl pages, %ecx
  testl %ecx, %ecx
  jz 4f
  divl %ecx
  testl %eax, %eax
  jnz 3f
  incl %eax
3: shll $12, %eax
  movl %eax, stride
4: ret

# edx: "name=" with a zero at its end. Writes the number behind it to (edi), if it is there.
read_number:
  movl information, %eax
  movl 16(%eax), %esi
1: movl %esi, %ecx            # compare at every place of the line
  movl %edx, %ebp
2: movb (%ebp), %al
  testb %al, %al
  jz 3f
  cmpb %al, (%ecx)
  jne 5f
  incl %ecx
  incl %ebp
  jmp 2b
3: xorl %eax, %eax
4: movzbl (%ecx), %ebx
  subl $'0', %ebx
  cmpl $9, %ebx
  ja 6f
  imull $10, %eax
  addl %ebx, %eax
  incl %ecx
  jmp 4b
5: cmpb $0, (%esi)
  je 7f
  incl %esi
  jmp 1b
6: movl %eax, (%edi)
7: ret

# The interval timer's interrupt at vector 32, a thousand times a second; everything else stays masked.
start_clock:
  movl $tick, %eax
  movw %ax, idt + 32 * 8
  movw $8, idt + 32 * 8 + 2
  movw $0x8e00, idt + 32 * 8 + 4
  shrl $16, %eax
  movw %ax, idt + 32 * 8 + 6
  lidt idt_register
  movb $0x11, %al             # both controllers: begin, vectors 32 and 40, cascade, 8086 mode
  outb %al, $0x20
  outb %al, $0xa0
  movb $32, %al
  outb %al, $0x21
  movb $40, %al
  outb %al, $0xa1
  movb $4, %al
  outb %al, $0x21
  movb $2, %al
  outb %al, $0xa1
  movb $1, %al
  outb %al, $0x21
  outb %al, $0xa1
  movb $0xff, %al
  outb %al, $0xa1
  cmpl $0, pace
  je 1f
  movb $0xfe, %al             # only the timer, and only if somebody waits for it
1: outb %al, $0x21
  movl $0x1ff, 0xfee000f0     # local APIC on, its LINT0 wired to the controllers: not every firmware does that
  movl $0x700, 0xfee00350
  movb $0x34, %al
  outb %al, $0x43
  movl $(1193182 / TICKS_PER_SECOND), %eax
  outb %al, $0x40
  movb %ah, %al
  outb %al, $0x40
  ret

# Interrupts are on at the one hlt only, so the way back is known. KVM's emulator has no iret for protected mode.
tick:
  addl $12, %esp
  incl ticks
  movb $0x20, %al
  outb %al, $0x20
  jmp woken

# esi: text with a zero at its end.
say:
  lodsb
  testb %al, %al
  jz 1f
  call put
  jmp say
1: ret

put:
  movw $COM1, %dx
  outb %al, %dx
  ret

.section .data
.align 8
gdt: .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_register: .word 23
  .long gdt
idt_register: .word 33 * 8 - 1
  .long idt
pages: .long 256
mib: .long 0
words: .long 1
pace: .long 0
spin: .long 0
since: .long 0
slice: .long 0
other: .long 0
every: .long 0
fill: .long 0
limit: .long 0
next: .long BASE
stride: .long 4096
ticks: .long 0
information: .long 0
greeting: .asciz "boot32\r\n"
name_pages: .asciz "pages="
name_mib: .asciz "mib="
name_words: .asciz "words="
name_pace: .asciz "pace="
name_spin: .asciz "spin="
name_slice: .asciz "slice="
name_other: .asciz "other="
name_every: .asciz "every="
name_fill: .asciz "fill="

.section .bss
.align 8
idt: .skip 33 * 8
.skip 4096
stack:
