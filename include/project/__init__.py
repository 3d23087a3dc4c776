"""The project file: every scientific choice, validated once, logged with every run."""

from include.project.deployment import DeploymentPolicy as DeploymentPolicy
from include.project.deployment import FreezeWindow as FreezeWindow
from include.project.deployment import JudgePolicy as JudgePolicy
from include.project.governance import EthicsConfig as EthicsConfig
from include.project.governance import GovernanceConfig as GovernanceConfig
from include.project.learning import AugmentationConfig as AugmentationConfig
from include.project.learning import EvaluationConfig as EvaluationConfig
from include.project.learning import GateConfig as GateConfig
from include.project.learning import PromotionPolicy as PromotionPolicy
from include.project.learning import SliceConfig as SliceConfig
from include.project.learning import TrainingConfig as TrainingConfig
from include.project.reading import StrictLoader as StrictLoader
from include.project.reading import explain as explain
from include.project.reading import load_project as load_project
from include.project.reading import load_projects as load_projects
from include.project.sections import PROJECT_NAME as PROJECT_NAME
from include.project.sections import DataConfig as DataConfig
from include.project.sections import MonitoringPolicy as MonitoringPolicy
from include.project.sections import Project as Project
from include.project.sections import RegistryPolicy as RegistryPolicy
from include.project.source import SourceConfig as SourceConfig
from include.project.tuning import SearchRange as SearchRange
from include.project.tuning import TuningConfig as TuningConfig
