-- Names for the study's s1 to s6, and the patient's weight class of the World
-- Health Organization, by which the model is judged slice by slice.
SELECT
  upload.patient,
  upload.age,
  upload.sex,
  upload.bmi,
  upload.bp,
  upload.s1 AS cholesterol,
  upload.s2 AS ldl,
  upload.s3 AS hdl,
  upload.s4 AS cholesterol_ratio,
  upload.s5 AS log_triglycerides,
  upload.s6 AS glucose,
  weights.weight,
  upload.target AS progression
FROM upload
LEFT JOIN weights ON upload.bmi >= weights.low AND upload.bmi < weights.high
ORDER BY upload.patient
