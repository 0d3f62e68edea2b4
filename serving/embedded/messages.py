"""The messages of TensorFlow Serving's API, wire compatible, without TensorFlow."""

from pathlib import Path
from typing import Final

from serving.embedded.protobuf import MessagePool

_FOLDER: Final = Path(__file__).parent / "protos"
_POOL: Final = MessagePool(_FOLDER / "tensorflow.proto", _FOLDER / "tensorflow_serving.proto")

TensorProto = _POOL.message("tensorflow.TensorProto")
SavedModel = _POOL.message("tensorflow.SavedModel")
SignatureDef = _POOL.message("tensorflow.SignatureDef")

ModelSpec = _POOL.message("tensorflow.serving.ModelSpec")
PredictRequest = _POOL.message("tensorflow.serving.PredictRequest")
PredictResponse = _POOL.message("tensorflow.serving.PredictResponse")
SignatureDefMap = _POOL.message("tensorflow.serving.SignatureDefMap")
GetModelMetadataRequest = _POOL.message("tensorflow.serving.GetModelMetadataRequest")
GetModelMetadataResponse = _POOL.message("tensorflow.serving.GetModelMetadataResponse")
GetModelStatusRequest = _POOL.message("tensorflow.serving.GetModelStatusRequest")
GetModelStatusResponse = _POOL.message("tensorflow.serving.GetModelStatusResponse")
ReloadConfigRequest = _POOL.message("tensorflow.serving.ReloadConfigRequest")
ReloadConfigResponse = _POOL.message("tensorflow.serving.ReloadConfigResponse")
ModelServerConfig = _POOL.message("tensorflow.serving.ModelServerConfig")
BatchingParameters = _POOL.message("tensorflow.serving.BatchingParameters")
MonitoringConfig = _POOL.message("tensorflow.serving.MonitoringConfig")
PredictionLog = _POOL.message("tensorflow.serving.PredictionLog")

DATA_TYPES: Final = _POOL.enum("tensorflow.DataType")
VERSION_STATES: Final = _POOL.enum("tensorflow.serving.ModelVersionStatus.State")
