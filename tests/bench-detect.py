"""bench-detect.py NOTCH FOLDER - the work of bench-detect.sh, which says what it does."""

import csv
import json
import math
import os
import shlex
import subprocess
import sys

NOTCH, FOLDER = sys.argv[1:3]
PEERS = os.environ.get("NOTCH_PEERS", "")


def setting(name, otherwise):
    return os.environ.get(name) or otherwise


SIZE = setting("SIZE", "4096x4096")
SEEDS = int(setting("SEEDS", "3"))
TARGET = float(setting("TARGET", "0.02"))
RESULT = setting("RESULT", "bench-detect")
DIE = 512  # what the other programs take for granted, with its corner in the first pixel
MPX = math.prod(int(side) for side in SIZE.split("x")) / 1e6
KINDS = ["points and blobs", "scratches", "stains", "all"]


def call(*command, **more):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False, **more)
    if done.returncode not in (0, 1) or (done.returncode == 1 and command[0] != NOTCH):
        sys.exit(f"bench-detect: {' '.join(map(str, command))}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def here(name):
    return os.path.join(FOLDER, name)


# ---- images ----------------------------------------------------------------------------------------------------------


def simulate():
    images = []
    for seed in range(1, SEEDS + 1):
        image = here(f"{seed}.tif")
        call(NOTCH, "simulate", "-q", "--size", SIZE, "--die", f"{DIE}x{DIE}", "--defects", setting("DEFECTS", "200"),
             "--snr", setting("SNR", "3:20"), "--seed", seed, "--clean", here(f"{seed}-clean.tif"), "--clean-bits", 32,
             *shlex.split(setting("SIMULATE", "")), "-o", image)
        images.append(image)
    return images


# ---- programs: each takes an image, a folder and how strict it is to be, and gives its list of defects ---------------


def inspect(image, out, strictness, *more):
    """The stricter, the fewer false alarms an image are promised: 10 ** -strictness."""
    call(NOTCH, "inspect", "-q", "--no-progress", "--format", "defects,recipe", "--set", f"dice.pitch_x_px={DIE}",
         "--set", f"dice.pitch_y_px={DIE}", "--false-alarms", f"{10 ** -strictness:.9g}", *more, "-o", out, image)
    stem = os.path.splitext(os.path.basename(image))[0]
    return os.path.join(out, stem, "defects.csv")


def oracle(image, out, strictness):
    with open(image.replace(".tif", "-truth.json"), encoding="utf-8") as file:
        truth = json.load(file)
    more = ["reference.method=exact", f"reference.noise_a={truth['noise']['a']}",
            f"reference.noise_b={truth['noise']['b']}", f"reference.scale={truth['clean']['scale']}"]
    return inspect(image, out, strictness, "--reference", image.replace(".tif", "-clean.tif"),
                   *(word for key in more for word in ("--set", key)))


def golden(image, out, strictness):
    """What a script of an afternoon does: mean and sigma over dice, pixel by pixel, nothing registered."""
    import numpy
    import tifffile
    from scipy import ndimage

    pixels = tifffile.imread(image).astype(numpy.float32)
    rows, cols = (side // DIE for side in pixels.shape)
    dice = pixels[: rows * DIE, : cols * DIE].reshape(rows, DIE, cols, DIE).swapaxes(1, 2)
    mean, sigma = dice.mean((0, 1)), dice.std((0, 1))
    z = (dice - mean) / numpy.maximum(sigma, 0.5)
    z = z.swapaxes(1, 2).reshape(rows * DIE, cols * DIE)
    mask = numpy.abs(z) > strictness
    label, n = ndimage.label(ndimage.binary_dilation(mask, numpy.ones((3, 3))), numpy.ones((3, 3)))
    label[~mask] = 0
    places = ndimage.center_of_mass(mask, label, range(1, n + 1))
    path = os.path.join(out, "defects.csv")
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["x_px", "y_px"])
        writer.writerows([f"{x:.2f}", f"{y:.2f}"] for y, x in places)
    return path


def peer(program, *more, **environment):
    def run(image, out, strictness):
        call(*program, image, out, "--die", DIE, "--overlay", "none", "--k", f"{strictness:.6g}", *more,
             env={**os.environ, **environment})
        return os.path.join(out, "defects.csv")

    return run


def has(*modules):
    missing = [m for m in modules if subprocess.run([sys.executable, "-c", f"import {m}"], check=False,
                                                    stderr=subprocess.DEVNULL).returncode]
    return f"python3 has no {', '.join(missing)}" if missing else ""


def programs():
    """name, run, range of strictness, and why it is left out or nothing."""
    def script(name, *modules):
        path = os.path.join(PEERS, name)
        return [sys.executable, path], (has(*modules) if PEERS and os.path.isfile(path) else f"no {name} in NOTCH_PEERS")

    skimage, no_skimage = script("skimage_py", "skimage", "tifffile", "scipy")
    sep, no_sep = script("sep_py", "sep", "cv2")
    opencv = here("opencv_cpp")
    no_opencv = "" if os.path.isfile(opencv) else "no opencv_cpp.cc in NOTCH_PEERS, or no OpenCV to build it with"
    promise, k = (-3, 6), (3, 60)
    return [
        ("notch", inspect, promise, ""),
        ("oracle", oracle, promise, ""),
        ("OpenCV", peer([opencv]), k, no_opencv),
        ("scikit-image", peer(skimage), k, no_skimage),
        ("sep", peer(sep, SEP_FILTER="none"), k, no_sep),
        ("sep matched", peer(sep, SEP_FILTER="matched"), k, no_sep),
        ("golden sigma", golden, (3, 200), has("numpy", "tifffile", "scipy")),
    ]


# ---- equal false alarms ----------------------------------------------------------------------------------------------


def score(images, run, strictness, name):
    pairs = []
    for i, image in enumerate(images):
        out = here(f"{name}-{i}")
        os.makedirs(out, exist_ok=True)
        pairs += [image.replace(".tif", "-truth.csv"), run(image, out, strictness)]
    return json.loads(call(NOTCH, "score", "--json", "--megapixels", MPX, *pairs))


def search(images, run, span, name):
    """The least strictness, to a fiftieth of the span, with no more false alarms than TARGET."""
    low, high = span
    is_log = low > 0
    low, high = (math.log(low), math.log(high)) if is_log else (low, high)
    step, best = (high - low) / 64, None
    while high - low > step * 1.01 or best is None:
        middle = high if best is None and high - low <= step * 1.01 else (low + high) / 2
        strictness = math.exp(middle) if is_log else middle
        result = score(images, run, strictness, name)
        if result["false_alarms_per_mpx"] <= TARGET:
            best, high = (strictness, result), middle
        elif middle == high:
            return strictness, result  # even the strictest is not strict enough
        else:
            low = middle
    return best


# ---- the result ------------------------------------------------------------------------------------------------------


def interval(group, name):
    value, low, high = (group[key] for key in (name, name + "_low", name + "_high"))
    if value is None:
        return "-"
    ends = " to ".join("?" if end is None else f"{end:.1f}" for end in (low, high))
    return f"{value:.2f} ({ends})"


def tell(results):
    groups = [g["group"] for g in results[0][2]["groups"] if g["group"] in KINDS]
    print(f"\n{SEEDS} x {SIZE} px, at most {TARGET:g} false alarms per Mpx; SNR90 with its 95 % interval\n")
    print(f"| program | setting | false/Mpx | captured | {' | '.join(groups)} |")
    print("|---" * (len(groups) + 4) + "|")
    for name, strictness, result in results:
        at = f"{10 ** -strictness:.3g} promised" if name in ("notch", "oracle") else f"k {strictness:.2f}"
        cells = [interval(g, "snr90") for g in result["groups"] if g["group"] in groups]
        share = 100 * result["captured"] / result["truth"]
        print(f"| {name} | {at} | {result['false_alarms_per_mpx']:.3f} | {share:.1f} % | {' | '.join(cells)} |")
    with open(RESULT + ".csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["program", "setting", "false_alarms_per_mpx", "group", "snr_from", "snr_below", "truth",
                         "captured", "low", "high"])
        for name, strictness, result in results:
            for row in result["capture"]:
                writer.writerow([name, f"{strictness:.4g}", f"{result['false_alarms_per_mpx']:.4g}", row["group"],
                                 row["snr_from"], row["snr_below"], row["truth"], row["captured"],
                                 f"{row['low']:.4f}", f"{row['high']:.4f}"])
    print(f"\nbench-detect: wrote {RESULT}.csv")


def draw(results):
    why = has("matplotlib")
    if why:
        print(f"bench-detect: no picture, {why}")
        return
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    # Okabe and Ito's colours, and shapes, so that neither is needed alone.
    looks = ["#0072b2o", "#000000s", "#d55e00^", "#009e73D", "#e69f00v", "#cc79a7P", "#56b4e9X"]
    figure, axes = pyplot.subplots(1, len(KINDS), figsize=(4 * len(KINDS), 4.4), sharey=True)
    for axis, kind in zip(axes, KINDS):
        for which, (name, _, result) in enumerate(results):
            rows = [r for r in result["capture"]
                    if r["group"] == kind and r["snr_from"] is not None and r["truth"] >= 5]
            x = [(r["snr_from"] + (r["snr_below"] or r["snr_from"] + 4)) / 2 + 0.08 * which for r in rows]
            y = [r["captured"] / r["truth"] for r in rows]
            ends = [[v - r["low"] for v, r in zip(y, rows)], [r["high"] - v for v, r in zip(y, rows)]]
            bars = axis.errorbar(x, y, yerr=[[max(e, 0) for e in end] for end in ends], color=looks[which][:7],
                                 marker=looks[which][7], markersize=5, linewidth=1.4, elinewidth=0.8, label=name,
                                 linestyle="--" if name == "oracle" else "-")[2]
            for bar in bars:
                bar.set_alpha(0.4)
        axis.set_title(kind)
        axis.set_xlabel("matched SNR")
        axis.grid(color="#e4e4e4")
        axis.set_ylim(-0.02, 1.02)
    axes[0].set_ylabel("captured, with 95 % interval")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncol=len(results), frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(RESULT + ".png", dpi=100)
    print(f"bench-detect: wrote {RESULT}.png")


def main():
    wanted = os.environ.get("PROGRAMS")
    chosen = []
    for name, run, span, why in programs():
        if wanted and name not in wanted.split(","):
            continue
        if why:
            print(f"bench-detect: {name} is left out: {why}")
        else:
            chosen.append((name, run, span))
    images = simulate()
    results = []
    for name, run, span in chosen:
        strictness, result = search(images, run, span, name.replace(" ", "-"))
        print(f"bench-detect: {name}: {result['false_alarms']} false alarms, {result['captured']} captured", flush=True)
        results.append((name, strictness, result))
    if results:
        tell(results)
        draw(results)


main()
