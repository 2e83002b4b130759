//! ONNX files made by hand: a graph whose outputs are constants, in the protobuf encoding of `onnx.proto3`.
//!
//! That is enough to drive session, recognition and decoding with boxes that are known beforehand.
#![allow(dead_code)] // Each test binary uses its part.

/// A model under construction.
#[derive(Default, Clone)]
pub struct OnnxFile {
    inputs: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
    nodes: Vec<Vec<u8>>,
    constants: Vec<Vec<u8>>,
    metadata: Vec<Vec<u8>>,
}

/// `TensorProto.DataType` of 32-bit floats.
pub const FLOAT: u64 = 1;
/// `TensorProto.DataType` of bytes.
pub const UINT8: u64 = 2;
/// `TensorProto.DataType` of 64-bit integers.
pub const INT64: u64 = 7;
/// `TensorProto.DataType` of booleans.
pub const BOOL: u64 = 9;
/// `TensorProto.DataType` of 16-bit floats.
pub const FLOAT16: u64 = 10;

impl OnnxFile {
    /// A model with one float input; `None` leaves a dimension open.
    pub fn with_input(shape: &[Option<u64>]) -> Self {
        Self::default().input("images", FLOAT, shape)
    }

    /// One more input.
    pub fn input(mut self, name: &str, kind: u64, shape: &[Option<u64>]) -> Self {
        self.inputs.push(value_info(name, kind, shape));
        self
    }

    /// An output of floats that is always the same; its declared shape is left open.
    pub fn output(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, FLOAT, shape, &bytes)
    }

    /// An output of integers that is always the same.
    pub fn output_i64(self, name: &str, shape: &[usize], values: &[i64]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, INT64, shape, &bytes)
    }

    /// An output of any type that is always the same: little-endian bytes.
    pub fn constant(mut self, name: &str, kind: u64, shape: &[usize], bytes: &[u8]) -> Self {
        let constant = format!("{name}_constant");
        let mut tensor = Vec::new();
        for &size in shape {
            number(&mut tensor, 1, size as u64);
        }
        number(&mut tensor, 2, kind);
        message(&mut tensor, 8, constant.as_bytes());
        message(&mut tensor, 9, bytes);
        self.constants.push(tensor);
        self.nodes.push(node("Identity", &[&constant], name));
        self.outputs.push(value_info(name, kind, &vec![None; shape.len()]));
        self
    }

    /// An output that is the input's mean over all pixels, as `[1, 3, 1, 1]`.
    pub fn mean_of_input(mut self, name: &str) -> Self {
        self.nodes.push(node("GlobalAveragePool", &["images"], name));
        self.outputs.push(value_info(name, FLOAT, &[None; 4]));
        self
    }

    /// A pair of metadata, as Ultralytics writes them.
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        let mut pair = Vec::new();
        message(&mut pair, 1, key.as_bytes());
        message(&mut pair, 2, value.as_bytes());
        self.metadata.push(pair);
        self
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut graph = Vec::new();
        for part in &self.nodes {
            message(&mut graph, 1, part);
        }
        message(&mut graph, 2, b"graph");
        for part in &self.constants {
            message(&mut graph, 5, part);
        }
        for part in &self.inputs {
            message(&mut graph, 11, part);
        }
        for part in &self.outputs {
            message(&mut graph, 12, part);
        }
        let mut model = Vec::new();
        number(&mut model, 1, 8); // ir_version
        message(&mut model, 7, &graph);
        let mut opset = Vec::new();
        number(&mut opset, 2, 17);
        message(&mut model, 8, &opset);
        for pair in &self.metadata {
            message(&mut model, 14, pair);
        }
        model
    }
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let mut node = Vec::new();
    for input in inputs {
        message(&mut node, 1, input.as_bytes());
    }
    message(&mut node, 2, output.as_bytes());
    message(&mut node, 4, operator.as_bytes());
    node
}

fn value_info(name: &str, kind: u64, shape: &[Option<u64>]) -> Vec<u8> {
    let mut dims = Vec::new();
    for (i, size) in shape.iter().enumerate() {
        let mut dim = Vec::new();
        match size {
            Some(size) => number(&mut dim, 1, *size),
            None => message(&mut dim, 2, format!("{name}_{i}").as_bytes()),
        }
        message(&mut dims, 1, &dim);
    }
    let mut tensor = Vec::new();
    number(&mut tensor, 1, kind);
    message(&mut tensor, 2, &dims);
    let mut kind = Vec::new();
    message(&mut kind, 1, &tensor);
    let mut info = Vec::new();
    message(&mut info, 1, name.as_bytes());
    message(&mut info, 2, &kind);
    info
}

/// A length-delimited field.
fn message(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A varint field.
fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
