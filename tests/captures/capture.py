#!/usr/bin/env python3
"""Records what a QEMU says on its checkpoint channel, as data for the unit tests of the parsers.

    capture.py NAME [QEMU …]

runs QEMU (default: qemu-system-x86_64; give the words of a longer command, such as a loader with its libraries) with a guest of 16 MiB
under KVM, plays the secondary through the first copy and three checkpoints, and writes beside the tests

    NAME.gz     every byte that QEMU sent, in order
    NAME.json   what this program found in them, counted on its own; the SHA-256 of the guest's RAM is that of QEMU's own memory,
                read from its file while the guest stood still

Needs KVM, a QEMU that can do COLO, and the guest that guest/build-boot32.sh builds.
"""
import gzip, hashlib, json, os, socket, struct, subprocess, sys, tempfile

CHECKPOINTS = 3
MARK = 0x200000  # of guest/boot32/boot32.s
HERE = os.path.dirname(os.path.abspath(__file__))
GUEST = os.path.join(HERE, '..', '..', '.cache', 'guests', 'boot32', 'boot32.elf')
DATA = os.path.join(HERE, '..', 'Unit', 'data', 'captures')


class Qmp:
    def __init__(self, sock):
        self.file = sock.makefile('rwb')
        self.version = json.loads(self.file.readline())['QMP']['version']['qemu']
        self.run('qmp_capabilities')

    def run(self, command, **arguments):
        self.file.write(json.dumps({'execute': command, 'arguments': arguments}).encode() + b'\n')
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if 'error' in answer:
                sys.exit(f'{command}: {answer["error"]["desc"]}')
            if 'return' in answer:
                return answer['return']


class Stream:
    """The bytes from QEMU, kept, and the RAM records in them, counted."""

    def __init__(self, sock):
        self.sock, self.kept, self.at = sock, bytearray(), 0
        self.pages = self.zeros = 0
        self.blocks = []

    def read(self, n):
        while len(self.kept) - self.at < n:
            self.more()
        self.at += n
        return bytes(self.kept[self.at - n:self.at])

    def more(self):
        piece = self.sock.recv(1 << 20)
        if not piece:
            sys.exit(f'QEMU closed the channel after {len(self.kept)} bytes')
        self.kept += piece

    def number(self, n):
        return int.from_bytes(self.read(n), 'big')

    def name(self):
        return self.read(self.number(1)).decode()

    def ram_records(self):
        while True:
            header = self.number(8)
            flags = header & 0xfff
            if flags & 0x04:
                left = header & ~0xfff
                while left:
                    self.blocks.append({'name': self.name(), 'length': self.number(8)})
                    left -= self.blocks[-1]['length']
            elif flags & 0x10:
                assert self.number(1) == 0x7e
                return self.number(4)
            elif flags & 0x0a:
                if not flags & 0x20:
                    self.name()
                if flags & 0x08:
                    self.read(4096)
                    self.pages += 1
                else:
                    self.read(1)
                    self.zeros += 1
            else:
                assert flags == 0x200, hex(flags)

    def sections(self):
        """Up to a device section or the EOF; gives its type."""
        while True:
            kind = self.number(1)
            if kind == 7:
                self.machine = self.read(self.number(4)).decode()
            elif kind == 5:
                self.subsection(self.name())
            elif kind == 8:
                command, payload = self.number(2), self.read(self.number(2))
                if command == 2:  # PING: QEMU 11 waits for the PONG
                    self.sock.sendall(struct.pack('>HH', 2, 4) + payload)
            elif kind == 1:
                self.number(4), self.name(), self.read(8)
                self.ram_records()
            elif kind in (2, 3):
                self.number(4)
                self.ram_records()
            else:
                return kind

    def subsection(self, name):
        self.number(4)
        if name == 'configuration/capabilities':
            for _ in range(self.number(4)):
                self.name()
        else:
            self.read({'configuration/target-page-bits': 4, 'configuration/uuid': 16}[name])

    def description(self):
        """Skips the device sections, which carry no length, by the JSON that follows them; gives their length."""
        start = self.at - 1
        while True:
            at = max(self.kept.find(b'{"configuration"', start), self.kept.find(b'{"page_size"', start))
            if at > 0 and self.kept[at - 6:at - 4] == b'\x00\x06':
                length = int.from_bytes(self.kept[at - 4:at], 'big')
                if len(self.kept) >= at + length:
                    json.loads(self.kept[at:at + length])
                    self.at = at + length
                    return at - 5 - start
            self.more()

    def take_counts(self):
        counts = {'pages': self.pages, 'zeroPages': self.zeros}
        self.pages = self.zeros = 0
        return counts


def capture(qmp, directory, ram):
    path = os.path.join(directory, 'colo')
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    needs_return_path = qmp.version['major'] >= 11
    qmp.run('migrate-set-capabilities', capabilities=[
        {'capability': 'x-colo', 'state': True}, {'capability': 'return-path', 'state': needs_return_path}])
    qmp.run('migrate-set-parameters', **{'x-checkpoint-delay': 100, 'max-bandwidth': 10 ** 11})
    qmp.run('migrate', uri='unix:' + path)
    stream = Stream(listener.accept()[0])
    say = lambda message: stream.sock.sendall(struct.pack('>I', message))
    digest = lambda: hashlib.sha256(open(ram, 'rb').read()).hexdigest()

    assert stream.read(8) == b'QEVM\0\0\0\3'
    assert stream.sections() == 4
    ram_bytes = stream.at - 1
    device_bytes = stream.description()
    found = {'qemu': '{major}.{minor}.{micro}'.format(**qmp.version), 'machine': stream.machine, 'blocks': stream.blocks,
             'initial': {**stream.take_counts(), 'ramBytes': ram_bytes, 'deviceBytes': device_bytes, 'totalBytes': stream.at, 'ramSha256': digest()},
             'checkpoints': []}
    if needs_return_path:
        stream.sock.sendall(struct.pack('>HHI', 1, 4, 0))  # SHUT, no error
    say(0)
    for _ in range(CHECKPOINTS):
        assert stream.number(4) == 1
        say(2)
        assert stream.number(4) == 3
        start = stream.at
        assert stream.sections() == 0
        ram_bytes = stream.at - start
        assert stream.number(4) == 4
        device_bytes = stream.number(8)
        stream.read(device_bytes)
        assert stream.at == len(stream.kept)
        found['checkpoints'].append({**stream.take_counts(), 'ramBytes': ram_bytes, 'deviceBytes': device_bytes, 'ramSha256': digest()})
        say(5)
        kept = bytes(stream.kept)
        say(6)
    return kept, found


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    name, command = sys.argv[1], sys.argv[2:] or ['qemu-system-x86_64']
    with tempfile.TemporaryDirectory() as directory:
        part = lambda file: os.path.join(directory, file)
        ours, theirs = socket.socketpair()
        qemu = subprocess.Popen(
            [*command, '-M', 'pc,memory-backend=ram0', '-accel', 'kvm', '-nodefaults', '-display', 'none', '-no-user-config', '-m', '16',
             '-object', f'memory-backend-file,id=ram0,size=16M,share=on,mem-path={part("ram")}',
             '-bios', 'qboot.rom', '-kernel', GUEST, '-append', 'pages=200 pace=1',
             '-chardev', f'socket,id=qmp,fd={theirs.fileno()}', '-mon', 'chardev=qmp,mode=control'], pass_fds=[theirs.fileno()])
        theirs.close()
        try:
            qmp = Qmp(ours)
            # The guest's own loop, not the firmware, is what shall be recorded: wait for the first round that it counts.
            rounds = 0
            while rounds == 0:
                with open(part('ram'), 'rb') as ram:
                    ram.seek(MARK)
                    rounds = int.from_bytes(ram.read(12)[8:], 'little')
            kept, found = capture(qmp, directory, part('ram'))
        finally:
            qemu.kill()
            qemu.wait()
    os.makedirs(DATA, exist_ok=True)
    with open(os.path.join(DATA, name + '.gz'), 'wb') as out:
        out.write(gzip.compress(kept, 9, mtime=0))
    with open(os.path.join(DATA, name + '.json'), 'w') as out:
        json.dump(found, out, indent=2)
        out.write('\n')
    print(f'{name}: {len(kept)} bytes, {len(gzip.compress(kept, 9))} compressed')


main()
