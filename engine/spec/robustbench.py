"""Our own table of RobustBench teachers, so that the package itself is never needed: it fits no current torch.

Keyed by data set and id, for the same id exists for both. Verified against RobustBench's model zoo and its
`model_info` records: id, Google Drive id, architecture, normalization, clean and AutoAttack accuracy, epsilon; the
https addresses and the DeepMind figures against DeepMind's own table. Parameters are computed from the architecture.
NOT verified, for nobody publishes them: sizes in bytes and SHA-256. They stay empty here; the SHA-256 of the first
download is written beside the file and every later use is compared with it. The Google Drive ids of
Cui2023Decoupled come from a fork of the zoo, that of Wang2023Better (CIFAR-100) from a copy newer than its release.
"""

import difflib
from dataclasses import dataclass

from engine.spec.errors import TeacherError
from engine.spec.models import ModelSpec, PreActResNet18, ResNet18, WideResNet, WideResNetSiLU

GOOGLE_DRIVE = "https://drive.google.com/uc?id="
_DEEPMIND = "https://storage.googleapis.com/dm-adversarial-robustness/"
_HALF, _COPIES = 2, 16  # bytes per parameter: half precision; four float32 copies (weights, average, optimizer)


@dataclass(frozen=True, kw_only=True)
class RobustBenchModel:
    """What is published of one teacher. Accuracies are fractions on the whole test split."""

    title: str
    model: ModelSpec
    source: str
    """A Google Drive id, or an https address."""
    clean: float
    autoattack: float
    parameters: int
    """Of the model that is built here, without what the file holds beside it."""
    epsilon: float = 8 / 255
    """Radius of the AutoAttack figure, in pixel units."""
    norm: str = "linf"
    notes: str = ""
    bytes: int = 0
    """Size of the file; 0 = unknown."""
    sha256: str = ""
    """Of the file; empty = unknown, recorded at the first download."""

    @property
    def url(self) -> str:
        """Where a person finds the file."""
        return self.source if "://" in self.source else GOOGLE_DRIVE + self.source

    @property
    def min_bytes(self) -> int:
        """No checkpoint of this model is smaller."""
        return self.bytes or _HALF * self.parameters

    @property
    def max_bytes(self) -> int:
        """No checkpoint of this model is larger, with an average and an optimizer in it."""
        return self.bytes or _COPIES * self.parameters


_SUB_BLOCK = "the file holds an unused copy of block1 (sub_block1), which is left out"
_INSIDE = "mean and standard deviation are taken off inside the model"

MODELS: dict[tuple[str, str], RobustBenchModel] = {
    ("cifar10", "Zhang2019Theoretically"): RobustBenchModel(
        title="TRADES WRN-34-10 (Zhang 2019)",
        model=WideResNet(depth=34, width=10),
        source="1hPz9QQwyM7QSuWu-ANG_uXR-29xtL8t_",
        clean=0.8492,
        autoattack=0.5308,
        parameters=46_160_474,
        epsilon=0.031,
        notes=f"model_cifar_wrn.pt of TRADES, the teacher of the report; {_SUB_BLOCK}",
    ),
    ("cifar10", "Rice2020Overfitting"): RobustBenchModel(
        title="early stopping WRN-34-20 (Rice 2020)",
        model=WideResNet(depth=34, width=20, normalization="cifar10"),
        source="1vC_Twazji7lBjeMQvAD9uEQxi9Nx2oG-",
        clean=0.8534,
        autoattack=0.5342,
        parameters=184_531_674,
        notes="normalized by a wrapper; its constants may be missing from the file",
    ),
    ("cifar10", "Chen2021LTD_WRN34_10"): RobustBenchModel(
        title="LTD WRN-34-10 (Chen 2021)",
        model=WideResNet(depth=34, width=10),
        source="1-0RoQKYvHLNh7hZ71wJjSit1XtrJQo9D",
        clean=0.8521,
        autoattack=0.5694,
        parameters=46_160_474,
    ),
    ("cifar10", "Chen2021LTD_WRN34_20"): RobustBenchModel(
        title="LTD WRN-34-20 (Chen 2021)",
        model=WideResNet(depth=34, width=20),
        source="1-5JmY9rapuGwCUc2nPvy7Rb_sn_dHhFm",
        clean=0.8603,
        autoattack=0.5771,
        parameters=184_531_674,
        notes="the teacher of AdaAD and IGDM",
    ),
    ("cifar10", "Gowal2020Uncovering_34_20"): RobustBenchModel(
        title="ULAT WRN-34-20 (Gowal 2020)",
        model=WideResNetSiLU(depth=34, width=20, normalization="cifar10"),
        source=_DEEPMIND + "cifar10_linf_wrn34-20_without.pt",
        clean=0.8564,
        autoattack=0.5686,
        parameters=184_531_674,
        notes=_INSIDE,
    ),
    ("cifar10", "Gowal2020Uncovering_70_16"): RobustBenchModel(
        title="ULAT WRN-70-16 (Gowal 2020)",
        model=WideResNetSiLU(depth=70, width=16, normalization="cifar10"),
        source=_DEEPMIND + "cifar10_linf_wrn70-16_without.pt",
        clean=0.8529,
        autoattack=0.5720,
        parameters=266_796_506,
        notes=_INSIDE,
    ),
    ("cifar10", "Gowal2020Uncovering_28_10_extra"): RobustBenchModel(
        title="ULAT WRN-28-10 + extra data (Gowal 2020)",
        model=WideResNetSiLU(depth=28, width=10, normalization="cifar10"),
        source=_DEEPMIND + "cifar10_linf_wrn28-10_with.pt",
        clean=0.8948,
        autoattack=0.6280,
        parameters=36_479_194,
        notes=_INSIDE,
    ),
    ("cifar10", "Gowal2020Uncovering_70_16_extra"): RobustBenchModel(
        title="ULAT WRN-70-16 + extra data (Gowal 2020)",
        model=WideResNetSiLU(depth=70, width=16, normalization="cifar10"),
        source=_DEEPMIND + "cifar10_linf_wrn70-16_with.pt",
        clean=0.9110,
        autoattack=0.6588,
        parameters=266_796_506,
        notes=_INSIDE,
    ),
    ("cifar10", "Wang2023Better_WRN-28-10"): RobustBenchModel(
        title="BDM WRN-28-10 (Wang 2023)",
        model=WideResNetSiLU(depth=28, width=10, normalization="cifar10"),
        source="1-6MYKJdECDVGaWjj6GgqvaT95BGKhUvI",
        clean=0.9244,
        autoattack=0.6731,
        parameters=36_479_194,
        notes=f"trained with 20M synthetic images; {_INSIDE}",
    ),
    ("cifar10", "Cui2023Decoupled_WRN-28-10"): RobustBenchModel(
        title="IKL WRN-28-10 (Cui 2023)",
        model=WideResNetSiLU(depth=28, width=10, normalization="cifar10"),
        source="1-AaTrYt23WJFR22hXgBd-i6kjpsz6Hf2",
        clean=0.9216,
        autoattack=0.6773,
        parameters=36_479_194,
        notes=f"trained with 20M synthetic images; {_INSIDE}",
    ),
    ("cifar10", "Rade2021Helper_R18_ddpm"): RobustBenchModel(
        title="HAT PreActResNet-18 (Rade 2021)",
        model=PreActResNet18(variant="deepmind", normalization="cifar10"),
        source="1f2yJUo-jxCQNk589frzriv6wPyrQEZdX",
        clean=0.8686,
        autoattack=0.5709,
        parameters=12_548_426,
        notes=f"trained with 1M synthetic images; {_INSIDE}",
    ),
    ("cifar10", "Addepalli2021Towards_RN18"): RobustBenchModel(
        title="OAAT ResNet-18 (Addepalli 2021)",
        model=ResNet18(),
        source="1-1DxecXz5U_xZ54DVdE-GVm71Tiox-Ri",
        clean=0.8024,
        autoattack=0.5106,
        parameters=11_173_962,
    ),
    ("cifar10", "Addepalli2022Efficient_RN18"): RobustBenchModel(
        title="DAJAT ResNet-18 (Addepalli 2022)",
        model=ResNet18(),
        source="1m5vhdzIUUKhDbsZdOG9z76Eyp6f4xe_f",
        clean=0.8571,
        autoattack=0.5248,
        parameters=11_173_962,
    ),
    ("cifar10", "Sehwag2021Proxy_R18"): RobustBenchModel(
        title="PORT ResNet-18 (Sehwag 2021)",
        model=ResNet18(),
        source="1-ZgoSlD_AMhtXdnUElilxVXnzK2DcHuu",
        clean=0.8438,
        autoattack=0.5443,
        parameters=11_173_962,
        notes="trained with 6M synthetic images",
    ),
    ("cifar100", "Rice2020Overfitting"): RobustBenchModel(
        title="early stopping PreActResNet-18 (Rice 2020)",
        model=PreActResNet18(variant="rice", normalization="cifar100"),
        source="1XXNZn3fZBOkD1aqNL1cvcD8zZDccyAZ6",
        clean=0.5383,
        autoattack=0.1895,
        parameters=11_218_340,
        notes="normalized by a wrapper whose constants differ from ours in the fifth digit",
    ),
    ("cifar100", "Chen2021LTD_WRN34_10"): RobustBenchModel(
        title="LTD WRN-34-10 (Chen 2021)",
        model=WideResNet(depth=34, width=10),
        source="1-I4NZyULdEWH46b4EaCTxuuRo4eFXsg_",
        clean=0.6407,
        autoattack=0.3059,
        parameters=46_218_164,
        notes=_SUB_BLOCK,
    ),
    ("cifar100", "Gowal2020Uncovering"): RobustBenchModel(
        title="ULAT WRN-70-16 (Gowal 2020)",
        model=WideResNetSiLU(depth=70, width=16, normalization="cifar100"),
        source=_DEEPMIND + "cifar100_linf_wrn70-16_without.pt",
        clean=0.6086,
        autoattack=0.3003,
        parameters=266_888_756,
        notes=f"the teacher of the report; {_INSIDE}",
    ),
    ("cifar100", "Gowal2020Uncovering_extra"): RobustBenchModel(
        title="ULAT WRN-70-16 + extra data (Gowal 2020)",
        model=WideResNetSiLU(depth=70, width=16, normalization="cifar100"),
        source=_DEEPMIND + "cifar100_linf_wrn70-16_with.pt",
        clean=0.6915,
        autoattack=0.3688,
        parameters=266_888_756,
        notes=_INSIDE,
    ),
    ("cifar100", "Wang2023Better_WRN-28-10"): RobustBenchModel(
        title="BDM WRN-28-10 (Wang 2023)",
        model=WideResNetSiLU(depth=28, width=10, normalization="cifar100"),
        source="1-jOu3wKWyw0XnBCXDGR32xn8Bw9GTJgh",
        clean=0.7258,
        autoattack=0.3883,
        parameters=36_536_884,
        notes=f"trained with 50M synthetic images; {_INSIDE}",
    ),
    ("cifar100", "Cui2023Decoupled_WRN-28-10"): RobustBenchModel(
        title="IKL WRN-28-10 (Cui 2023)",
        model=WideResNetSiLU(depth=28, width=10, normalization="cifar100"),
        source="15BwWdWbNfoarTEWWugicOVkTjh3nXH36",
        clean=0.7385,
        autoattack=0.3918,
        parameters=36_536_884,
        notes=f"trained with 50M synthetic images; {_INSIDE}",
    ),
    ("cifar100", "Rade2021Helper_R18_ddpm"): RobustBenchModel(
        title="HAT PreActResNet-18 (Rade 2021)",
        model=PreActResNet18(variant="deepmind", normalization="cifar100"),
        source="1-qUvfOjq6x4I8mZynfGtzzCH_nvqS_VQ",
        clean=0.6150,
        autoattack=0.2888,
        parameters=12_594_596,
        notes=f"trained with 1M synthetic images; {_INSIDE}",
    ),
    ("cifar100", "Addepalli2021Towards_PARN18"): RobustBenchModel(
        title="OAAT PreActResNet-18 (Addepalli 2021)",
        model=PreActResNet18(variant="rice"),
        source="1-FwVya1sDvdFXr0_ZBoXEJW9ukGC7hPK",
        clean=0.6202,
        autoattack=0.2714,
        parameters=11_218_340,
    ),
    ("cifar100", "Addepalli2022Efficient_RN18"): RobustBenchModel(
        title="DAJAT ResNet-18 (Addepalli 2022)",
        model=ResNet18(),
        source="1-2hnxC7lZOQDqQbum4yPbtRtTND86I5N",
        clean=0.6545,
        autoattack=0.2767,
        parameters=11_220_132,
    ),
}


def lookup(dataset: str, name: str) -> RobustBenchModel:
    """The entry of this id for this data set; TeacherError with the nearest ids when there is none."""
    if entry := MODELS.get((dataset, name)):
        return entry
    elsewhere = sorted(of for of, known in MODELS if known == name)
    if elsewhere:
        raise TeacherError(f"the RobustBench model `{name}` is known for {', '.join(elsewhere)}, not for {dataset}")
    known = sorted(known for of, known in MODELS if of == dataset)
    if not known:
        raise TeacherError(f"there are no RobustBench models for the data set {dataset}, only for cifar10, cifar100")
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean `{near[0]}`?" if near else f"Known for {dataset}: {', '.join(known)}."
    raise TeacherError(f"unknown RobustBench model `{name}`", hint=hint)
