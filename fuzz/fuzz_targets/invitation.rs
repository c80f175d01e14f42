#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| knet_tests::fuzz_targets::invitation(bytes));
