#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the machines of this folder: hwloc's export of a synthetic description, with models, GPUs
and network cards put in by hand. And device tables of what they carry (docs/machines.md).
Run it here; needs libhwloc15. The results are committed."""
import ctypes, json, os, re

hwloc = ctypes.CDLL("libhwloc.so.15")
HERE = os.path.dirname(os.path.abspath(__file__))


def synthetic(description):
    topology = ctypes.c_void_p()
    assert hwloc.hwloc_topology_init(ctypes.byref(topology)) == 0
    assert hwloc.hwloc_topology_set_synthetic(topology, description.encode()) == 0, description
    assert hwloc.hwloc_topology_load(topology) == 0
    text, length = ctypes.c_char_p(), ctypes.c_int()
    assert hwloc.hwloc_topology_export_xmlbuffer(
        topology, ctypes.byref(text), ctypes.byref(length), ctypes.c_ulong(0)) == 0
    return text.value.decode()


def pci(number, bus, kind, ids, vendor, device, inner):
    """A host bridge with one card; `inner` is the XML of its operating system's devices."""
    return f'''
    <object type="Bridge" gp_index="{900000 + 10 * number}" bridge_type="0-1" depth="0" bridge_pci="0000:[{bus:02x}-{bus:02x}]">
      <object type="PCIDev" gp_index="{900001 + 10 * number}" pci_busid="0000:{bus:02x}:00.0" pci_type="{kind} [{ids}] [0000:0000] a1" pci_link_speed="31.507692">
        <info name="PCIVendor" value="{vendor}"/>
        <info name="PCIDevice" value="{device}"/>
        {inner}
      </object>
    </object>'''


def gpu(number, bus, vendor, device, ids):
    inner = f'''<object type="OSDev" gp_index="{900002 + 10 * number}" name="opencl0d{number}" subtype="OpenCL" osdev_type="5">
          <info name="Backend" value="OpenCL"/>
          <info name="GPUVendor" value="{vendor}"/>
          <info name="GPUModel" value="{device}"/>
        </object>'''
    return pci(number, bus, "0302", ids, vendor, device, inner)


def nic(number, bus):
    inner = f'<object type="OSDev" gp_index="{900002 + 10 * number}" name="eth{number - 50}" osdev_type="2"/>'
    return pci(number, bus, "0200", "15b3:1021", "Mellanox Technologies", "MT2910 Family", inner)


def into_packages(xml, extra):
    """extra[i] goes at the end of package i."""
    out, package = [], -1
    for line in xml.splitlines():
        opens = re.match(r"(\s*)<object type=\"(\w+)\"", line)
        if opens and opens.group(2) == "Package":
            package, indent = package + 1, opens.group(1)
        if package >= 0 and line == f"{indent}</object>" and package < len(extra):
            out.append(extra[package])
        out.append(line)
    return "\n".join(out) + "\n"


def with_model(xml, model):
    return re.sub(r'(<object type="Package"[^>]*>)', rf'\1<info name="CPUModel" value="{model}"/>', xml)


def write(name, xml):
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as file:
        file.write(xml)


H100 = ("NVIDIA Corporation", "GH100 [H100 SXM5 80GB]", "10de:2330")
MI300 = ("Advanced Micro Devices, Inc. [AMD/ATI]", "Aqua Vanjaram [Instinct MI300X]", "1002:74a1")

write("laptop.xml", with_model(synthetic(
    "Package:1 [NUMANode(memory=16GiB)] L3:1(size=12MiB) L2:4(size=1280KiB) L1d:1(size=48KiB) Core:1 PU:2"),
    "11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz"))
write("two-socket.xml", with_model(synthetic(
    "Package:2 [NUMANode(memory=256GiB)] L3:1(size=105MiB) L2:56(size=2MiB) L1d:1(size=48KiB) Core:1 PU:2"),
    "Intel(R) Xeon(R) Platinum 8480+"))
write("epyc-nps4.xml", with_model(synthetic(
    "Package:1 Group:4 [NUMANode(memory=96GiB)] L3:3(size=32MiB) L2:8(size=1MiB) L1d:1(size=32KiB) Core:1 PU:2"),
    "AMD EPYC 9654 96-Core Processor"))
eight = with_model(synthetic(
    "Package:2 [NUMANode(memory=1TiB)] L3:1(size=105MiB) L2:48(size=2MiB) L1d:1(size=48KiB) Core:1 PU:2"),
    "Intel(R) Xeon(R) Platinum 8468")
write("eight-gpu.xml", into_packages(eight, [
    "".join(gpu(i, 0x10 + i, *H100) for i in range(4)) + nic(50, 0x40),
    "".join(gpu(i, 0x80 + i, *H100) for i in range(4, 8)) + nic(51, 0xc0)]))
mixed = with_model(synthetic(
    "Package:1 [NUMANode(memory=128GiB)] L3:2(size=32MiB) L2:8(size=1MiB) L1d:1(size=32KiB) Core:1 PU:2"),
    "AMD Ryzen Threadripper PRO 7955WX 16-Cores")
fpga = pci(60, 0x61, "1200", "10ee:5020", "Xilinx Corporation", "Alveo U250 XDMA Platform",
    '<object type="OSDev" gp_index="900602" name="opencl1d0" subtype="OpenCL" osdev_type="5">'
    '<info name="GPUVendor" value="Xilinx"/><info name="GPUModel" value="xilinx_u250_gen3x16_xdma"/></object>')
write("gpu-and-fpga.xml", into_packages(mixed, [gpu(0, 0x41, *MI300) + fpga]))
write("ampere-arm.xml", with_model(synthetic(
    "Package:1 [NUMANode(memory=512GiB)] L2:80(size=1MiB) L1d:1(size=64KiB) Core:1 PU:1"),
    "Ampere(R) Altra(R) Processor Q80-30"))

MI250 = ("Advanced Micro Devices, Inc. [AMD/ATI]", "Aldebaran/MI200 [Instinct MI250X/MI250]", "1002:740c")
RTX4090 = ("NVIDIA Corporation", "AD102 [GeForce RTX 4090]", "10de:2684")
RX7900 = ("Advanced Micro Devices, Inc. [AMD/ATI]", "Navi 31 [Radeon RX 7900 XT/7900 XTX]", "1002:744c")
ARC = ("Intel Corporation", "DG2 [Arc A770]", "8086:56a0")
DESKTOP = "Package:1 [NUMANode(memory=64GiB)] L3:1(size=32MiB) L2:8(size=1MiB) L1d:1(size=32KiB) Core:1 PU:2"

write("desktop-gpu.xml", into_packages(
    with_model(synthetic(DESKTOP), "AMD Ryzen 7 7800X3D 8-Core Processor"), [gpu(0, 0x01, *RTX4090)]))
write("mixed-vendors.xml", into_packages(
    with_model(synthetic(DESKTOP), "AMD Ryzen 9 7950X 16-Core Processor"),
    [gpu(0, 0x01, *RTX4090) + gpu(1, 0x03, *RX7900) + gpu(2, 0x05, *ARC)]))
write("four-mi250.xml", into_packages(with_model(synthetic(
    "Package:1 Group:4 [NUMANode(memory=128GiB)] L3:2(size=32MiB) L2:8(size=512KiB) L1d:1(size=32KiB) Core:1 PU:2"),
    "AMD EPYC 7A53 64-Core Processor"), ["".join(gpu(i, 0xc1 + 4 * i, *MI250) for i in range(4))]))
alveo = "".join(pci(60 + i, 0x21 + 0x20 * i, "1200", "10ee:5020", "Xilinx Corporation",
    "Alveo U250 XDMA Platform", "") for i in range(2))
write("two-fpga.xml", into_packages(with_model(synthetic(
    "Package:2 [NUMANode(memory=64GiB)] L3:1(size=36MiB) L2:16(size=1MiB) L1d:1(size=32KiB) Core:1 PU:2"),
    "Intel(R) Xeon(R) Gold 6226R"), [alveo]))


def host(node, memory, read, matmul, vector):
    return dict(name=f"cpu:{node}", host=True, numa_node=node, memory_gib=memory, read_gbps=read,
                matmul_gops=matmul, vector_gops=vector, launch_us=1)


def card(name, bus, memory, read, matmul, vector, link, launch=6, peers=None):
    entry = dict(name=name, pci=f"0000:{bus:02x}:00.0", memory_gib=memory, read_gbps=read, matmul_gops=matmul,
                 vector_gops=vector, launch_us=launch, link_gbps=link, link_us=8)
    return entry | ({"peers": peers} if peers else {})


def table(name, *devices):
    with open(os.path.join(HERE, name + ".json"), "w", encoding="utf-8") as file:
        file.write('{ "devices": [\n  ' + ",\n  ".join(json.dumps(d) for d in devices) + " ] }\n")


# What the makers' data sheets say, rounded; matmul in the type a GPU is fastest with and 16 bits or fewer.
table("laptop", host(0, 14, 40, 900, 300))
table("two-socket", host(0, 250, 200, 40000, 6000), host(1, 250, 200, 40000, 6000))
table("epyc-nps4", *[host(i, 92, 95, 6000, 1800) for i in range(4)])
table("ampere-arm", host(0, 500, 180, 4000, 2000))
table("eight-gpu",
      *[card(f"opencl:{i}", 0x10 + i if i < 4 else 0x80 + i, 80, 3350, 990000, 67000, 50,
             peers={f"opencl:{j}": 400 for j in range(i)}) for i in range(8)],
      host(0, 1000, 280, 40000, 6000), host(1, 1000, 280, 40000, 6000))
table("gpu-and-fpga", card("hip:0", 0x41, 192, 5300, 1300000, 160000, 55),
      card("opencl:0", 0x61, 64, 77, 18000, 4000, 12, launch=40), host(0, 120, 150, 3000, 1500))
table("desktop-gpu", host(0, 60, 70, 2500, 900), card("opencl:0", 0x01, 24, 1008, 330000, 82000, 25))
table("mixed-vendors", card("opencl:0", 0x01, 24, 1008, 330000, 82000, 25), card("hip:0", 0x03, 24, 960, 122000, 61000, 12),
      card("opencl:1", 0x05, 16, 560, 137000, 17000, 6), host(0, 60, 70, 4500, 1700))
table("four-mi250", *[card(f"hip:{i}", 0xc1 + 4 * i, 64, 1600, 190000, 24000, 36,
                           peers={f"hip:{j}": 50 for j in range(i)}) for i in range(4)],
      *[host(i, 120, 50, 2500, 900) for i in range(4)])
table("two-fpga", host(0, 60, 100, 2500, 1200), host(1, 60, 100, 2500, 1200),
      *[card(f"opencl:{i}", 0x21 + 0x20 * i, 64, 77, 18000, 4000, 12, launch=40) for i in range(2)])
